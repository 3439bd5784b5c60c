//! `setup postfix` on odd and broken configurations of a real Postfix: it sets it up, which a
//! sign-in proves, and `--undo` restores each byte; or it changes nothing, and says why.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{self, PROGRAM};

/// A configuration, and what setup makes of it.
struct Case {
    name: &'static str,
    /// Functions for `setup-room.sh`, which explains them.
    script: &'static str,
    args: &'static str,
    code: i32,
    /// Parts of what it says.
    says: &'static [&'static str],
}

/// Sets it up, whatever was there.
const fn works(name: &'static str, script: &'static str) -> Case {
    Case {
        name,
        script,
        args: "",
        code: 0,
        says: &[
            "port 587 (STARTTLS): a user signed in",
            "port 465 (TLS): a user signed in",
        ],
    }
}

const fn refuses(name: &'static str, script: &'static str, says: &'static [&'static str]) -> Case {
    Case {
        name,
        script,
        args: "",
        code: 4,
        says,
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        works("debian", ""),
        works(
            "stock-submission",
            // Uncommented, but without sign-in.
            "before() { sed -i -e '/^#submission inet/,/ORIGINATING/s/^#//' -e '/^ *-o smtpd_sasl_auth_enable/d' -e '/^     /s/^/#/' /etc/postfix/master.cf; }
after() { grep -q milter_macro_daemon_name=ORIGINATING /etc/postfix/master.cf || echo lost; }",
        ),
        refuses(
            "stock-submission-with-sasl",
            "before() { sed -i -e '/^#submission inet/,/ORIGINATING/s/^#//' -e '/^     /s/^/#/' /etc/postfix/master.cf; }",
            &["submission signs users in through Cyrus SASL (smtpd)", "--replace"],
        ),
        Case {
            args: "--replace",
            ..works(
                "replace",
                "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_sasl_auth_enable=yes' ' -o smtpd_sasl_type=dovecot' ' -o smtpd_sasl_path=private/auth' ' -o smtpd_tls_security_level=may'; }",
            )
        },
        refuses(
            "dovecot",
            "before() { postconf -e smtpd_sasl_type=dovecot smtpd_sasl_path=private/auth; service 'submission inet n - y - - smtpd' ' -o smtpd_sasl_auth_enable=yes'; }",
            &["Dovecot's protocol (private/auth)"],
        ),
        works(
            "two-addresses",
            "before() { service '127.0.0.1:submission inet n - y - - smtpd' '[::1]:587 inet n - n - - smtpd'; }
after() { [ $(grep -c sasl_path=smtpcred /etc/postfix/master.cf) = 3 ] || cat /etc/postfix/master.cf; }",
        ),
        refuses(
            "two-services",
            "running() { service '127.0.0.1:submission inet n - y - - smtpd' 'submission inet n - n - - smtpd'; }",
            &["two services for port 587: 127.0.0.1:submission/inet and submission/inet"],
        ),
        works(
            "cyrus-on-25",
            "before() { postconf -e smtpd_sasl_auth_enable=yes; }
after() { postconf -h smtpd_sasl_type | grep -q cyrus || echo changed; }",
        ),
        works(
            "no-chroot",
            "before() { sed -i 's/^\\(smtp *inet .* - *\\)y /\\1n /' /etc/postfix/master.cf; }
after() { postconf -M submission/inet | grep -q 'inet *n *- *n ' || postconf -M submission/inet; }",
        ),
        works(
            "postscreen",
            "before() { sed -i -e 's/^smtp  *inet.*/smtp inet n - y - 1 postscreen/' -e 's/^#\\(smtpd *pass\\|dnsblog\\|tlsproxy\\)/\\1/' /etc/postfix/master.cf; }",
        ),
        refuses(
            "no-smtpd",
            "running() { service 'submission inet n - y - 1 postscreen'; }",
            &["submission runs postscreen"],
        ),
        works(
            "ours-with-other-values",
            "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_sasl_auth_enable=yes' ' -o smtpd_sasl_type=dovecot' ' -o smtpd_sasl_path=/var/spool/postfix/smtpcred/auth' ' -o { smtpd_recipient_restrictions = permit_mynetworks, check_policy_service { unix:/run/smtpcred/policy, default_action=DUNNO }, reject }'; }
after() { grep run/smtpcred /etc/postfix/master.cf; }",
        ),
        works(
            "other-policy-services",
            "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_recipient_restrictions=permit_mynetworks,check_policy_service,inet:127.0.0.1:10023,reject_unauth_destination'; }
after() { postconf -P submission/inet/smtpd_recipient_restrictions | grep -q 'smtpcred.*10023,permit_sasl_authenticated,reject_unauth' || postconf -P; }",
        ),
        works(
            "braces",
            "before() { service 'submission inet n - y - - smtpd' '# a note' '  -o { smtpd_recipient_restrictions = check_client_access inline:{ {192.0.2.1 = REJECT go away} }, permit_mynetworks, reject }'; }
after() { grep -q 'REJECT go away' /etc/postfix/master.cf || echo lost; }",
        ),
        works(
            "macros",
            "before() { postconf -e 'mua_recipient_restrictions = permit_sasl_authenticated, reject'; service 'submission inet n - y - - smtpd' ' -o smtpd_recipient_restrictions=$mua_recipient_restrictions' ' -o smtpd_client_restrictions=$mua_client_restrictions'; }
after() { grep -q 'DEFER},$mua_recipient_restrictions' /etc/postfix/master.cf || echo lost; }",
        ),
        works(
            "filters",
            "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_milters=inet:127.0.0.1:8891' ' -o milter_default_action=accept' ' -o content_filter=smtp:[127.0.0.1]:10024' 'smtps inet n - n - - smtpd' ' -o receive_override_options=no_address_mappings'; }
after() { grep -q smtpd_milters=inet /etc/postfix/master.cf && grep -q wrappermode /etc/postfix/master.cf || echo lost; }",
        ),
        works(
            "continuation",
            "before() { printf 'smtpd_recipient_restrictions =\\n  permit_mynetworks,\\n# a note\\n  permit_sasl_authenticated,\\n\\treject_unauth_destination\\n' >> /etc/postfix/main.cf; service 'submission inet n - - - - smtpd'; }
after() { cmp /etc/postfix/main.cf /root/kept/main.cf; }",
        ),
        refuses(
            "classes",
            "before() { postconf -e 'smtpd_restriction_classes=strict' 'strict=reject_unlisted_sender,reject'; service 'submission inet n - y - - smtpd' ' -o smtpd_client_restrictions=strict'; }",
            &["smtpd_client_restrictions rejects users with reject, in strict"],
        ),
        works(
            "local-clients",
            "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_client_restrictions=permit_mynetworks,reject' ' -o smtpd_relay_restrictions=reject_unauth_destination'; }",
        ),
        refuses(
            "sender-maps",
            "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_sender_restrictions=reject_sender_login_mismatch'; }",
            &["smtpd_sender_login_maps, which is empty"],
        ),
        works(
            "no-tls",
            "before() { service 'submission inet n - y - - smtpd' ' -o smtpd_tls_security_level=none'; }",
        ),
        works(
            "no-plain",
            "before() { postconf -e 'smtpd_sasl_security_options=noanonymous,noplaintext'; service 'submission inet n - y - - smtpd'; }",
        ),
        works(
            "loopback",
            "before() { postconf -e inet_interfaces=loopback-only inet_protocols=ipv4; }",
        ),
        Case {
            says: &["applications do not trust the certificate"],
            ..works(
                "test-certificate",
                "before() { postconf -X smtpd_tls_cert_file smtpd_tls_key_file; }",
            )
        },
        refuses(
            "no-certificate",
            "before() { postconf -X smtpd_tls_cert_file smtpd_tls_key_file; mv /etc/ssl/private/ssl-cert-snakeoil.key /root; }
running() { trap 'mv /root/ssl-cert-snakeoil.key /etc/ssl/private' EXIT; }",
            &["Postfix has no certificate"],
        ),
        refuses(
            "localhost",
            "before() { postconf -e myhostname=localhost.localdomain; }",
            &["applications cannot use", "--host smtp.example.com"],
        ),
        Case {
            args: "--host smtp.example.net",
            ..works("host", "before() { postconf -e myhostname=localhost; }")
        },
        refuses(
            "instances",
            "running() { postconf -e multi_instance_directories=/etc/postfix-out; }",
            &["several instances of Postfix", "--config /etc/postfix"],
        ),
        Case {
            args: "--config /etc/postfix",
            ..works("instance", "before() { postconf -e smtpd_banner=x; }")
        },
        refuses(
            "absent",
            "running() { touch /root/nothing; chmod 644 /root/nothing; mount --bind /root/nothing /usr/sbin/postconf; }",
            &["Postfix is not installed"],
        ),
        refuses("stopped", "running() { postfix stop 2> /dev/null; }", &["Postfix is not running"]),
        refuses(
            "broken",
            "running() { echo 'inet_protocols = none-such' >> /etc/postfix/main.cf; }",
            &["already has a problem", "none-such"],
        ),
        refuses(
            "no-master",
            "running() { rm /etc/postfix/master.cf; }",
            &["already has a problem"],
        ),
        refuses(
            "port-taken",
            "before() { listen 465; }",
            &["another program listens on port 465"],
        ),
        refuses(
            "socket-taken",
            "before() { mkdir -p /var/spool/postfix/smtpcred; listen /var/spool/postfix/smtpcred/auth; }",
            &["another program listens on /var/spool/postfix/smtpcred/auth"],
        ),
        refuses(
            "no-socket",
            "before() { mkdir -p /var/spool/postfix/smtpcred; touch /var/spool/postfix/smtpcred/policy; }",
            &["/var/spool/postfix/smtpcred/policy is not a socket"],
        ),
        Case {
            code: 1,
            ..refuses(
                "read-only",
                "running() { mount --bind /etc/postfix /etc/postfix; mount -o remount,bind,ro /etc/postfix; }",
                &["Read-only file system", "all changes were undone"],
            )
        },
        Case {
            code: 1,
            ..refuses(
                "disk-full",
                "running() { mkdir -p /var/lib/smtpcred-setup; mount -t tmpfs -o size=8k none /var/lib/smtpcred-setup; }",
                &["No space left on device", "nothing was changed"],
            )
        },
        Case {
            code: 1,
            ..refuses(
                "no-auth-offered",
                "before() { postconf -e smtpd_discard_ehlo_keywords=auth; }",
                &["signing in on port 587 failed", "all changes were undone"],
            )
        },
        works(
            "twice-in-main",
            "before() { echo 'smtpd_banner = one' >> /etc/postfix/main.cf; echo 'smtpd_banner = two' >> /etc/postfix/main.cf; }",
        ),
        works(
            "old-defaults",
            "before() { postconf -e compatibility_level=0; sed -i 's/^\\(smtp *inet .* - *\\)y /\\1- /' /etc/postfix/master.cf; }",
        ),
    ]
}

/// Runs the cases in a folder, and returns what was said about each.
pub fn in_room(folder: &Path) -> Vec<String> {
    let room = format!("{}/tests/support/setup-room.sh", env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "bash",
            &room,
            PROGRAM,
        ])
        .arg(folder)
        .output();
    let run = support::finished(run.expect("unshare: run tests/run"));
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    run.stdout.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs root, Postfix and namespaces: run tests/run"]
fn odd_configurations_are_set_up_or_left_alone() {
    // Each takes some seconds.
    const FEW: [&str; 8] = [
        "debian",
        "stock-submission-with-sasl",
        "replace",
        "braces",
        "macros",
        "port-taken",
        "read-only",
        "no-auth-offered",
    ];
    let long = support::is_long();
    let mut cases = cases();
    assert!(cases.len() > 30);
    cases.retain(|case| long || FEW.contains(&case.name));
    let folder = tempfile::tempdir().unwrap();
    for case in &cases {
        let file = |end: &str| folder.path().join(format!("{}.{end}", case.name));
        fs::write(file("sh"), case.script).unwrap();
        fs::write(file("args"), case.args).unwrap();
    }
    let said = in_room(folder.path());
    let mut wrong = Vec::new();
    for case in &cases {
        let line = said
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{} ", case.name)));
        let line = line.unwrap_or("nothing");
        let begins = format!("{} yes|", case.code);
        let said = case.says.iter().all(|part| line.contains(part));
        if !line.starts_with(&begins) || !said || !line.ends_with('|') {
            wrong.push(format!("{}: {line}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A run that is killed at a system call, and the next one.
const KILLED: &str = r#"
running() {
    touch /root/wrong
    mkdir /root/first
    cp -p /etc/postfix/main.cf /etc/postfix/master.cf /root/first
    for at in POINTS; do
        # The same calls each time.
        rm -rf /var/lib/smtpcred /var/lib/smtpcred-setup /var/spool/postfix/smtpcred
        strace -o /dev/null -e "inject=${at%:*}:signal=KILL:when=${at#*:}" \
            smtpcred setup postfix --yes > /dev/null 2>&1 < /dev/null
        [ $? = 137 ] && echo "$at" >> /root/killed
        # What it has started.
        for id in $(pgrep -x smtpcred); do kill -9 "$id"; done
        smtpcred setup postfix --yes > /root/next 2>&1 < /dev/null || echo "$at: $(cat /root/next)" >> /root/wrong
        postfix status 2> /dev/null || echo "$at: Postfix has ended" >> /root/wrong
        smtpcred audit list | grep -q 'domain.add .*smtpcred-setup' || echo "$at: no proof" >> /root/wrong
        smtpcred domain list | grep -q smtpcred-setup && echo "$at: the user of the proof is left" >> /root/wrong
        smtpcred setup postfix --undo --yes > /root/next 2>&1 < /dev/null || echo "$at: $(cat /root/next)" >> /root/wrong
        for file in main.cf master.cf; do cmp "/root/first/$file" "/etc/postfix/$file" >> /root/wrong 2>&1; done
    done
}
after() { cat /root/wrong; [ "$(wc -l < /root/killed)" -ge LEAST ] || echo "killed only at $(cat /root/killed)"; }
"#;

#[test]
#[ignore = "needs root, Postfix, strace and namespaces: run tests/run"]
fn a_killed_setup_is_undone_by_the_next_one() {
    // Before and after: the copies for Postfix's tools, the record, each folder (before its owner and after), the units and the
    // store, each file, the proof, the end.
    const FEW: &str = "flock:2 fchownat:1 fchownat:2 renameat:1 renameat:2 renameat:3";
    // How often SQLite syncs may differ.
    const ALL: &str = "fsync:1 fsync:4 renameat:1 fsync:8 fsync:12 fsync:16 fsync:20 fsync:21 \
                       renameat:2 fsync:22 fsync:23 fsync:24 fsync:25 fsync:27 fsync:28 renameat:3";
    let (points, least) = if support::is_long() {
        (ALL, "12")
    } else {
        // On a busy machine, one of the calls may come at another place.
        (FEW, "5")
    };
    let script = KILLED.replace("POINTS", points).replace("LEAST", least);
    nothing_is_wrong(&script);
}

/// Runs one case that finds out itself what is wrong.
fn nothing_is_wrong(script: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("case.sh"), script).unwrap();
    fs::write(folder.path().join("case.args"), "").unwrap();
    let said = in_room(folder.path());
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("case 0 yes|") && said[0].ends_with('|'),
        "{}",
        said[0]
    );
}

/// A lost connection: more than one signal, from the first change of a file on.
const HUNG_UP: &str = r#"
running() {
    mkdir /root/first
    cp -p /etc/postfix/main.cf /etc/postfix/master.cf /root/first
    strace -o /dev/null -e "inject=renameat:signal=HUP:when=2+" \
        smtpcred setup postfix --yes > /root/next 2>&1 < /dev/null
    code=$?
    {
        [ $code = 130 ] || echo "exit code $code: $(cat /root/next)"
        pgrep -x smtpcred && echo "serve is left"
        postfix status 2> /dev/null || echo "Postfix has ended"
        find /var/lib/smtpcred-setup -type f
        for file in main.cf master.cf; do cmp "/root/first/$file" "/etc/postfix/$file"; done
    } > /root/wrong 2>&1
}
after() { cat /root/wrong; }
"#;

#[test]
#[ignore = "needs root, Postfix, strace and namespaces: run tests/run"]
fn several_signals_let_setup_bring_everything_back() {
    nothing_is_wrong(HUNG_UP);
}

/// An undo that is killed before it replaces a file, and the next one.
const UNDO_KILLED: &str = r#"
running() {
    mkdir /root/first
    cp -p /etc/postfix/main.cf /etc/postfix/master.cf /root/first
    {
        smtpcred setup postfix --yes < /dev/null > /root/next 2>&1 || cat /root/next
        # The shell says that it was killed.
        {
            strace -o /dev/null -e inject=renameat:signal=KILL:when=2 \
                smtpcred setup postfix --undo --yes > /dev/null < /dev/null
        } 2> /dev/null
        [ $? = 137 ] || echo "not killed"
        smtpcred setup postfix --undo --yes < /dev/null > /root/next 2>&1
        grep -q '^finished an interrupted undo' /root/next || cat /root/next
        postfix status 2> /dev/null || echo "Postfix has ended"
        smtpcred setup postfix --dry-run < /dev/null 2>&1 | grep -q '^set the host: none' || echo "the host is left"
        for file in main.cf master.cf; do cmp "/root/first/$file" "/etc/postfix/$file"; done
        find /var/lib/smtpcred-setup -type f
    } > /root/wrong 2>&1
}
after() { cat /root/wrong; }
"#;

#[test]
#[ignore = "needs root, Postfix, strace and namespaces: run tests/run"]
fn a_killed_undo_is_finished_by_the_next_one() {
    nothing_is_wrong(UNDO_KILLED);
}

/// A setup that is killed while the user of the proof exists, and then undone; and an undo while
/// Postfix is stopped and its configuration is broken.
const UNDONE: &str = r#"
running() {
    touch /root/wrong /root/seen
    # How often SQLite syncs may differ. From sendto:3 on, the user of the proof signs in.
    for at in renameat:2 fsync:21 fsync:23 fsync:25 fsync:27 sendto:4 sendto:7; do
        rm -rf /var/lib/smtpcred /var/lib/smtpcred-setup /var/spool/postfix/smtpcred
        strace -o /dev/null -e "inject=${at%:*}:signal=KILL:when=${at#*:}" \
            smtpcred setup postfix --yes > /dev/null 2>&1 < /dev/null
        for id in $(pgrep -x smtpcred); do kill -9 "$id"; done
        smtpcred domain list | grep smtpcred-setup >> /root/seen
        smtpcred setup postfix --undo --yes > /root/next 2>&1 < /dev/null || echo "$at: $(cat /root/next)" >> /root/wrong
        smtpcred domain list | grep -q smtpcred-setup && echo "$at: the user of the proof is left" >> /root/wrong
    done
    find /etc/postfix -name '*.smtpcred-new' >> /root/wrong
    [ -s /root/seen ] || echo "never killed while the user existed" >> /root/wrong
    smtpcred setup postfix --yes > /root/next 2>&1 < /dev/null || cat /root/next >> /root/wrong
    postfix stop 2> /dev/null
    echo 'inet_protocols = none-such' >> /etc/postfix/main.cf
    smtpcred setup postfix --undo --yes > /root/next 2>&1 < /dev/null || echo "stopped: $(cat /root/next)" >> /root/wrong
    grep smtpcred /etc/postfix/main.cf /etc/postfix/master.cf >> /root/wrong
    postfix status 2> /dev/null && echo "it was started" >> /root/wrong
    sed -i /none-such/d /etc/postfix/main.cf
    postfix start 2> /dev/null
}
after() { cat /root/wrong; }
"#;

#[test]
#[ignore = "needs root, Postfix, strace and namespaces: run tests/run"]
fn an_undo_leaves_no_user_and_needs_no_running_server() {
    nothing_is_wrong(UNDONE);
}
