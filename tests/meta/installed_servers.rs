//! `setup` with the systemd and the mail servers of a Debian 13 that boots: Exim and Dovecot from
//! installation to undo, and setups that fail or are killed, after which all is as before.

use std::collections::BTreeMap;

use crate::package::{USER, apt, booted, sends, swaks, with_postfix};
use crate::support::booted::{Machine, say};
use crate::support::{is_long, wait_for};

const RELEASE: &str = "trixie";
const EXIM: &str = "/etc/exim4";
const DOVECOT: &str = "/etc/dovecot";
const POSTFIX: &str = "/etc/postfix";

/// The configuration of a server, the units, and what runs and what has failed.
fn state(machine: &Machine, folder: &str) -> String {
    machine.run(&format!(
        "find {folder} /etc/systemd/system ! -type d -printf '%p %M %u %g %l\\n' | sort
         find {folder} /etc/systemd/system -type f -exec sha256sum {{}} + | sort -k 2
         for unit in smtpcred-auth.socket smtpcred-policy.socket smtpcred exim4 postfix dovecot; do
             echo $unit $(systemctl show --property=UnitFileState,ActiveState $unit)
         done
         systemctl --failed --plain --no-legend"
    ))
}

/// Shows only what differs.
fn same(before: &str, after: &str, when: &str) {
    let only = |one: &str, other: &str, sign: char| -> Vec<String> {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|own| own == *line));
        lines.map(|line| format!("{sign}{line}")).collect()
    };
    let differ = [only(before, after, '-'), only(after, before, '+')].concat();
    assert!(before == after, "{when}:\n{}", differ.join("\n"));
}

fn set_up(machine: &Machine, server: &str) {
    machine.run(&format!(
        "smtpcred setup {server} --host smtp.example.com --yes 2>&1"
    ));
}

fn nothing_is_left_to_do(machine: &Machine, server: &str) {
    let said = machine.run(&format!("smtpcred setup {server} --yes 2>&1"));
    assert!(said.contains("nothing to change"), "{said}");
}

fn undo(machine: &Machine, server: &str) {
    machine.run(&format!("smtpcred setup {server} --undo --yes 2>&1"));
}

/// A user, and its password.
fn create(machine: &Machine) -> String {
    let password = machine.run(&format!("smtpcred user create {USER} --add-domain"));
    password.trim_end().to_owned()
}

fn is_refused(machine: &Machine, password: &str, port: u16) {
    let said = machine.try_run(&swaks(password, port)).stdout;
    assert!(said.contains(" 535 "), "{said}");
}

/// Exim as Debian's package sets it up for a server that sends, in Postfix's place.
fn with_exim(machine: &Machine) {
    apt(machine, "install /opt/exim/*.deb");
    machine.run(&format!(
        "sed -i -e \"s/^dc_eximconfig_configtype=.*/dc_eximconfig_configtype='internet'/\" \
             -e \"s/^dc_local_interfaces=.*/dc_local_interfaces=''/\" {EXIM}/update-exim4.conf.conf
         systemctl restart exim4"
    ));
    apt(machine, "install /tmp/old.deb");
}

#[test]
#[ignore = "needs root, mmdebstrap and systemd-nspawn: run tests/run"]
fn exim_is_set_up_and_as_before_after_an_undo() {
    let Some(machine) = booted(RELEASE, "setup exim") else {
        return;
    };
    with_exim(&machine);
    let before = state(&machine, EXIM);
    set_up(&machine, "exim");
    let password = create(&machine);
    for port in [587, 465] {
        sends(&machine, &password, port);
        is_refused(&machine, "smtpc_guess", port);
    }
    nothing_is_left_to_do(&machine, "exim");
    undo(&machine, "exim");
    same(&before, &state(&machine, EXIM), "undone");
}

#[test]
#[ignore = "needs root, mmdebstrap and systemd-nspawn: run tests/run"]
fn dovecot_is_set_up_and_as_before_after_an_undo() {
    let Some(machine) = booted(RELEASE, "setup dovecot") else {
        return;
    };
    with_postfix(&machine);
    apt(&machine, "install /opt/dovecot/*.deb");
    // Postfix asks Dovecot, as on many relays.
    machine.run(&format!(
        "printf 'service auth {{\\n unix_listener /var/spool/postfix/private/auth {{\\n  mode = 0666\\n }}\\n}}\\n' \
             > {DOVECOT}/conf.d/90-postfix.conf
         postconf -M 'submission/inet=submission inet n - y - - smtpd'
         postconf -P submission/inet/smtpd_tls_security_level=encrypt \
             submission/inet/smtpd_sasl_auth_enable=yes submission/inet/smtpd_sasl_type=dovecot \
             submission/inet/smtpd_sasl_path=private/auth
         systemctl restart dovecot postfix"
    ));
    apt(&machine, "install /tmp/old.deb");
    let before = state(&machine, DOVECOT);
    set_up(&machine, "dovecot");
    let password = create(&machine);
    // It keeps its connections to Dovecot.
    machine.run("systemctl restart postfix");
    sends(&machine, &password, 587);
    is_refused(&machine, "smtpc_guess", 587);
    nothing_is_left_to_do(&machine, "dovecot");
    undo(&machine, "dovecot");
    same(&before, &state(&machine, DOVECOT), "undone");
    machine.run("systemctl restart postfix");
    wait_for("the password to be refused", || {
        let said = machine.try_run(&swaks(&password, 587)).stdout;
        said.contains(" 535 ").then_some(())
    });

    // What an admin has made as it is shown stays as it is.
    machine.run(&format!(
        "smtpcred show-server-config dovecot | sed -n '/^# Dovecot 2.4/,/^# Rights/s/^#   //p' \
             > {DOVECOT}/conf.d/10-smtpcred.conf
         systemctl restart dovecot postfix"
    ));
    let by_hand = state(&machine, DOVECOT);
    nothing_is_left_to_do(&machine, "dovecot");
    same(&by_hand, &state(&machine, DOVECOT), "by hand");
    sends(&machine, &password, 587);
}

/// What makes a setup fail, what it says then, and what ends that.
struct Obstacle {
    make: &'static str,
    says: &'static [&'static str],
    end: &'static str,
}

const UNDONE: &str = "all changes were undone";
const OBSTACLES: [Obstacle; 4] = [
    // The sockets listen, and what they start ends.
    Obstacle {
        make: "mkdir -p /etc/systemd/system/smtpcred.service.d
               printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' \
                   > /etc/systemd/system/smtpcred.service.d/broken.conf
               systemctl daemon-reload",
        says: &[
            "smtpcred serve does not answer",
            "journalctl -u smtpcred",
            UNDONE,
        ],
        end: "rm -r /etc/systemd/system/smtpcred.service.d; systemctl daemon-reload",
    },
    Obstacle {
        make: "mkdir -p /etc/systemd/system/smtpcred-policy.socket.d
               printf '[Socket]\\nSocketUser=nobody-there\\n' \
                   > /etc/systemd/system/smtpcred-policy.socket.d/broken.conf
               systemctl daemon-reload",
        says: &["smtpcred-policy.socket", UNDONE],
        end: "rm -r /etc/systemd/system/smtpcred-policy.socket.d; systemctl daemon-reload",
    },
    // Everything works but the sign-in.
    Obstacle {
        make: "postconf -e smtpd_discard_ehlo_keywords=auth; postfix reload",
        says: &["signing in on port 587 failed", UNDONE],
        end: "postconf -X smtpd_discard_ehlo_keywords; postfix reload",
    },
    Obstacle {
        make:
            "systemd-run --quiet --unit=taken --property=Type=notify --property=NotifyAccess=all \
               python3 -c '
import socket, time
from systemd import daemon
taken = socket.create_server((\"\", 465))
daemon.notify(\"READY=1\")
time.sleep(600)'",
        says: &["another program listens on port 465"],
        end: "systemctl stop taken",
    },
];

#[test]
#[ignore = "needs root, mmdebstrap and systemd-nspawn: run tests/run"]
fn a_setup_that_fails_leaves_units_and_postfix_as_they_were() {
    let Some(machine) = booted(RELEASE, "a setup that fails") else {
        return;
    };
    with_postfix(&machine);
    apt(&machine, "install /tmp/old.deb");
    for obstacle in OBSTACLES {
        machine.run(obstacle.make);
        let before = state(&machine, POSTFIX);
        let failed = machine.try_run("smtpcred setup postfix --host smtp.example.com --yes");
        assert_ne!(failed.code, 0, "{}", obstacle.make);
        for part in obstacle.says {
            assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
        }
        same(&before, &state(&machine, POSTFIX), &failed.stderr);
        machine.run("swaks --server 127.0.0.1 --from a@example.org --to root@localhost 2>&1");
        // The next one, at once, is not affected.
        machine.run(obstacle.end);
        let before = state(&machine, POSTFIX);
        set_up(&machine, "postfix");
        undo(&machine, "postfix");
        same(&before, &state(&machine, POSTFIX), "undone");
    }
}

/// Everything that a setup does itself, or has another program do.
const CALLS: &str = "renameat,renameat2,unlinkat,fchownat,clone,clone3,vfork";

/// The system calls of a setup of Exim after it has begun its record and until it has ended it:
/// each with how many there were of it.
fn steps(machine: &Machine) -> Vec<String> {
    machine.run(&format!(
        "strace -qq -o /tmp/trace -e trace={CALLS} -e signal=none \
             smtpcred setup exim --host smtp.example.com --yes 2>&1"
    ));
    let trace = machine.run("cat /tmp/trace");
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut steps = Vec::new();
    let mut records = Vec::new();
    for line in trace.lines() {
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        if call.starts_with("renameat") && line.contains("manifest.json") {
            records.push(steps.len());
        }
        let number = seen.entry(call).or_default();
        *number += 1;
        steps.push(format!("{call}:signal=KILL:when={number}"));
    }
    let [begun, ended] = records[..] else {
        panic!("{trace}");
    };
    steps[begun + 1..=ended].to_vec()
}

#[test]
#[ignore = "needs root, mmdebstrap and systemd-nspawn: run tests/run"]
fn a_killed_setup_of_exim_is_undone_by_the_next_one() {
    let Some(machine) = booted(RELEASE, "a setup of Exim that is killed") else {
        return;
    };
    with_exim(&machine);
    let before = state(&machine, EXIM);
    let forget = "rm -r /var/lib/smtpcred /var/lib/smtpcred-setup";
    let steps = steps(&machine);
    undo(&machine, "exim");
    machine.run(forget);
    same(&before, &state(&machine, EXIM), "undone");
    // Each takes some seconds.
    let every = if is_long() { 1 } else { steps.len() / 4 + 1 };
    let steps: Vec<_> = steps.iter().step_by(every).collect();
    for step in &steps {
        machine.try_run(&format!(
            "strace -qq -o /dev/null -e inject={step} \
                 smtpcred setup exim --host smtp.example.com --yes"
        ));
        let next = machine.run("smtpcred setup exim --host smtp.example.com --yes 2>&1");
        let was_killed = next.contains("undid the changes of an interrupted setup");
        let signed_in = next.matches("a user signed in").count();
        assert_eq!((was_killed, signed_in), (true, 2), "{step}: {next}");
        let domains = machine.run("smtpcred domain list");
        assert!(!domains.contains("smtpcred-setup"), "{step}: {domains}");
        undo(&machine, "exim");
        same(&before, &state(&machine, EXIM), step);
        machine.run(forget);
    }
    say(&format!("a setup of Exim was killed at {steps:?}"));
}
