//! The Debian package on systems that boot: from its installation to its removal, with a
//! Postfix that asks it. Where a system cannot boot another, the tests say so and pass.
//!
//! They are here and not beside the tests of the relay because those measure time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use crate::package::{USER, apt, booted, packages, sends, swaks, with_postfix};
use crate::readme::{SET_UP, for_a_relay, prints};
use crate::support::booted::{Machine, say};
use crate::support::mail::smtp::{Reply, Smtp};
use crate::support::mail::tls::Certificate;
use crate::support::{finished, is_long, wait_for};

/// Applications that send while the package is upgraded.
const CLIENTS: usize = 10;

#[test]
#[ignore = "needs root, mmdebstrap and systemd-nspawn: run tests/run"]
fn debian_12_is_served_from_install_to_purge() {
    from_install_to_purge("bookworm");
}

#[test]
#[ignore = "needs root, mmdebstrap and systemd-nspawn: run tests/run"]
fn debian_13_is_served_from_install_to_purge() {
    from_install_to_purge("trixie");
}

fn from_install_to_purge(release: &str) {
    let Some(mut machine) = booted(release, "the package") else {
        return;
    };
    let began = Instant::now();
    let certificate = with_postfix(&machine);
    let before = machine.files();

    let install = Instant::now();
    apt(&machine, "install /tmp/old.deb");
    set_up(&machine);
    let mut password = machine.run(&format!("smtpcred user create {USER} --add-domain"));
    password.truncate(password.trim_end().len());
    sends(&machine, &password, 587);
    let first = install.elapsed();
    sends(&machine, &password, 465);
    let password = a_reset_counts_at_once(&machine, &password);
    timers_start_their_services(&machine);
    upgrades_defer_nothing(&machine, &certificate);
    guessers_are_banned(&machine);

    machine.reboot();
    sends(&machine, &password, 587);
    a_purge_leaves_only_the_store(&machine, &before);
    say(&format!(
        "Debian {release}: {:.1} s from apt to the first message, {} s in all",
        first.as_secs_f32(),
        began.elapsed().as_secs()
    ));
}

#[test]
#[ignore = "needs lintian: run tests/run"]
fn the_package_is_as_debian_wants_it() {
    let [package, _] = packages();
    let found = Command::new("lintian")
        .args(["--fail-on", "error,warning"])
        .arg(package)
        .output();
    let found = finished(found.expect("lintian: run tests/run"));
    assert_eq!(found.code, 0, "{}", found.stdout);
}

/// The names that documents tell.
#[test]
fn files_of_a_release_have_the_version_in_their_names() {
    let version = env!("CARGO_PKG_VERSION");
    let name = regex::Regex::new(r"smtpcred[-_:]([0-9]+\.[0-9]+\.[0-9]+)").unwrap();
    for (file, others) in [
        ("README.md", 0),
        ("docs/install.md", 1),
        ("docs/containers.md", 0),
    ] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let all: Vec<_> = name
            .captures_iter(&text)
            .map(|found| found[1].to_owned())
            .collect();
        // What is upgraded to is a later one.
        let other = all.iter().filter(|found| *found != version).count();
        assert!(all.len() > 1 && other == others, "{file}: {all:?}");
    }
}

/// The second of the two commands, as in the README; it signs a user in at both ports.
fn set_up(machine: &Machine) {
    let commands = for_a_relay();
    let shown = commands.iter().find(|shown| shown.command == SET_UP);
    // There, it asks.
    let output = machine.run(&format!("{SET_UP} --yes 2>&1"));
    prints(shown.expect("the set-up"), &output);
}

fn a_reset_counts_at_once(machine: &Machine, old: &str) -> String {
    let new = machine.run(&format!("smtpcred user reset {USER} --yes"));
    let new = new.trim_end();
    sends(machine, new, 587);
    let said = machine.try_run(&swaks(old, 587)).stdout;
    assert!(
        said.contains(" 535 ") && !said.contains("queued as"),
        "{said}"
    );
    new.to_owned()
}

/// As in the night, which was missed.
fn timers_start_their_services(machine: &Machine) {
    machine.run(
        "smtpcred user create app@example.com --output /root/app
         smtpcred user set app@example.com --rotate-every 1s --write-file /var/lib/smtpcred/app",
    );
    wait_for("a password to be due", || {
        let due = machine.run(
            "runuser -u smtpcred -- smtpcred user rotate --due --dry-run --json --quiet || [ $? = 8 ]",
        );
        due.contains("app@example.com").then_some(())
    });
    machine.run(
        "for timer in smtpcred-rotate.timer smtpcred-maintain.timer smtpcred-backup.timer; do
             mkdir -p /run/systemd/system/$timer.d /var/lib/systemd/timers
             printf '[Timer]\\nRandomizedDelaySec=0\\n' > /run/systemd/system/$timer.d/now.conf
             touch -d '3 days ago' /var/lib/systemd/timers/stamp-$timer
         done
         systemctl daemon-reload
         systemctl enable --now smtpcred-rotate.timer smtpcred-maintain.timer smtpcred-backup.timer",
    );
    for service in ["smtpcred-rotate", "smtpcred-maintain", "smtpcred-backup"] {
        wait_for("a timer", || {
            let state = machine.run(&format!(
                "systemctl show -P ExecMainExitTimestampMonotonic -P ExecMainStatus {service}"
            ));
            let state: Vec<&str> = state.lines().collect();
            assert_eq!(state[1], "0", "{service} failed");
            (state[0] != "0").then_some(())
        });
    }
    machine.run("smtpcred verify app@example.com < /var/lib/smtpcred/app");
}

/// Clients sign in and send all the time; none of them notices an upgrade, and no last
/// connection is lost.
fn upgrades_defer_nothing(machine: &Machine, certificate: &Certificate) {
    let passwords: Vec<String> = (0..CLIENTS)
        .map(|i| machine.run(&format!("smtpcred user create client{i}@example.com")))
        .collect();
    let once = users_of_one_sign_in(machine);
    let process = machine.run("systemctl show -P MainPID smtpcred");
    let process = process.trim();
    let (done, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    let (refused, signed_in) = thread::scope(|scope| {
        let clients: Vec<_> = (0..)
            .zip(&passwords)
            .map(|(i, password)| {
                let (done, sent) = (&done, &sent);
                scope.spawn(move || {
                    machine.enter_network();
                    let user = format!("client{i}@example.com");
                    while !done.load(Ordering::Relaxed) {
                        if let Some(refused) = sends_one(certificate, &user, password) {
                            return Some(refused);
                        }
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    None
                })
            })
            .collect();
        // Each of them signs in once: nothing later makes up for what was lost.
        let one_by_one = scope.spawn(|| {
            machine.enter_network();
            let mut signed_in = Vec::new();
            for (user, password) in &once {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let refused = sends_one(certificate, user, password);
                assert!(refused.is_none(), "{refused:?}");
                signed_in.push(user.as_str());
            }
            signed_in
        });
        let some_are_sent = || {
            let enough = sent.load(Ordering::Relaxed) + 10;
            wait_for("messages", || {
                let gone = clients.iter().any(thread::ScopedJoinHandle::is_finished);
                (gone || sent.load(Ordering::Relaxed) > enough).then_some(())
            });
        };
        for i in 0..if is_long() { 20 } else { 3 } {
            some_are_sent();
            apt(
                machine,
                ["install /tmp/new.deb", "install /tmp/old.deb"][i % 2],
            );
            // The same process runs the new file.
            wait_for("the new program", || {
                let runs = machine.run(&format!("readlink /proc/{process}/exe"));
                (runs == "/usr/bin/smtpcred\n").then_some(())
            });
        }
        some_are_sent();
        done.store(true, Ordering::Relaxed);
        let ended = clients
            .into_iter()
            .map(|client| client.join().expect("an answer"));
        let refused = ended.flatten().collect::<Vec<_>>();
        (refused, one_by_one.join().expect("users"))
    });
    let journal = machine.run("journalctl --no-pager --lines 80; tail -n 80 /var/log/postfix.log");
    assert!(refused.is_empty(), "{refused:?}\n{journal}");
    let now = machine.run("systemctl show -P MainPID smtpcred");
    assert_eq!(now.trim(), process);
    wait_for("all last connections", || {
        let never = machine.run("smtpcred user list --never-used --format csv");
        let is_lost = |user: &&str| never.contains(&format!("\n{user},"));
        let lost = signed_in.iter().any(is_lost);
        (!lost).then_some(())
    });
    say(&format!(
        "{} messages while it was upgraded, and {} users who sent only one",
        sent.into_inner(),
        signed_in.len()
    ));
}

/// Signs in and sends a message; returns an answer that was no success.
fn sends_one(certificate: &Certificate, user: &str, password: &str) -> Option<Reply> {
    let mut smtp = Smtp::submission(587, certificate);
    let right = smtp.auth_plain(user, password.trim_end(), true);
    if right.code != 235 {
        return Some(right);
    }
    let taken = smtp.send_message(user, "you@example.org");
    (taken.code != 250).then_some(taken)
}

/// Names and passwords of many users.
fn users_of_one_sign_in(machine: &Machine) -> Vec<(String, String)> {
    let many = if is_long() { 600 } else { 100 };
    let made = machine.run(&format!(
        "(echo username; seq -f 'once%g@example.com' {many}) > /tmp/once.csv
         smtpcred user create --file /tmp/once.csv --reveal csv --quiet"
    ));
    let users = made.lines().skip(1).map(|row| {
        let mut fields = row.split(',').map(str::to_owned);
        fields
            .next()
            .zip(fields.next())
            .expect("a name and a password")
    });
    users.collect()
}

/// With the jail and the filter as they are shipped, sooner.
fn guessers_are_banned(machine: &Machine) {
    machine.run(
        "cp /usr/share/doc/smtpcred/examples/fail2ban/jail.conf /etc/fail2ban/jail.d/smtpcred.conf
         printf '[DEFAULT]\\nbanaction = nftables-multiport\\nignoreself = false\\n[sshd]\\nenabled = false\\n[smtpcred]\\nmaxretry = 3\\n' \
             > /etc/fail2ban/jail.local
         systemctl restart fail2ban
         ip address add 192.0.2.9/32 dev lo",
    );
    wait_for("the jail", || {
        let jail = machine.try_run("fail2ban-client status smtpcred");
        (jail.code == 0).then_some(())
    });
    let guess = swaks("smtpc_guess", 587) + " --local-interface 192.0.2.9 --timeout 5";
    wait_for("a ban", || {
        machine.try_run(&guess);
        let jail = machine.run("fail2ban-client status smtpcred");
        jail.contains("192.0.2.9").then_some(())
    });
    let refused = machine.try_run(&guess);
    assert!(!refused.stdout.contains(" 535 "), "{}", refused.stdout);
    machine.run("rm /etc/fail2ban/jail.d/smtpcred.conf /etc/fail2ban/jail.local");
}

fn a_purge_leaves_only_the_store(machine: &Machine, before: &[String]) {
    machine.run("smtpcred setup postfix --undo --yes");
    let said = machine.run("DEBIAN_FRONTEND=noninteractive apt-get -y purge smtpcred 2>&1");
    assert!(!said.contains("still asks"), "{said}");
    assert!(
        said.contains("kept: the store in /var/lib/smtpcred"),
        "{said}"
    );
    let left: Vec<String> = machine
        .files()
        .into_iter()
        .filter(|path| before.binary_search(path).is_err())
        .collect();
    let (store, left): (Vec<_>, Vec<_>) = left
        .iter()
        .partition(|path| Path::new(path).starts_with("/var/lib/smtpcred"));
    assert!(left.is_empty(), "{left:?}");
    let file = "/var/lib/smtpcred/smtpcred.db".to_owned();
    assert!(store.contains(&&file), "{store:?}");
    let running = machine.run("systemctl list-units --all --plain --no-legend 'smtpcred*'");
    assert_eq!(running, "");
}
