//! A real Postfix, whose log is rotated while followers are killed.

use std::fs::{self, File};
use std::path::Path;

use super::{Follower, keep_messages, states};
use crate::support::dice::Dice;
use crate::support::mail::Place;
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::serve::{Serve, store};
use crate::support::{Sandbox, is_long, wait_for};

const USER: &str = "shop@example.com";
/// Domains, and the state of what is sent there.
const ENDS: [(&str, &str); 3] = [
    ("ok.test", "discarded"),
    ("bad.test", "bounced"),
    ("slow.test", "deferred"),
];

fn postfix<'a>(sandbox: &Sandbox, place: &'a Place) -> Postfix<'a> {
    let [auth, policy] = Setup::sockets(place, false);
    let command = ["show-server-config", "postfix"];
    let sockets = ["--auth", &auth, "--policy", &policy];
    let mut setup = Setup::shipped(false, &sandbox.ok(&[&command[..], &sockets].concat()));
    let (error, retry) = ("error:5.1.1 no such user", "retry:4.2.2 mailbox full");
    let ends = format!(
        "maillog_file = {}\n\
         transport_maps = inline:{{ {{bad.test = {error}}}, {{slow.test = {retry}}} }}\n\
         smtpd_reject_unlisted_recipient = no\n",
        log(place)
    );
    setup.main += &ends;
    Postfix::start(place, &setup)
}

fn log(place: &Place) -> String {
    place.path().join("mail.log").display().to_string()
}

/// Whether the logs, whatever they are called, have an attempt for each of these.
fn all_tried(place: &Place, wanted: &[(String, String)]) -> bool {
    let files = fs::read_dir(place.path()).expect("our folder");
    let paths = files.map(|file| file.expect("a file").path());
    let logs = paths.filter(|path| path.display().to_string().contains("mail.log"));
    let texts: Vec<u8> = logs
        .flat_map(|path| fs::read(path).unwrap_or_default())
        .collect();
    let texts = String::from_utf8_lossy(&texts);
    let mut addresses = wanted.iter().map(|(address, _)| format!("to=<{address}>"));
    addresses.all(|address| texts.contains(&address))
}

fn rename(place: &Place, postfix: &Postfix, number: usize) {
    let log = log(place);
    // It may be renamed already, and not be there again.
    if Path::new(&log).exists() {
        fs::rename(&log, format!("{log}.{number}")).expect("our folder");
    }
    postfix.reload();
}

/// As logrotate's copytruncate. What is written in between is lost, so nothing is then.
fn copy_and_truncate(place: &Place, wanted: &[(String, String)]) {
    let log = log(place);
    wait_for("the log", || all_tried(place, wanted).then_some(()));
    if fs::copy(&log, format!("{log}.{}", wanted.len())).is_ok() {
        let file = File::options().write(true).open(&log);
        file.and_then(|file| file.set_len(0)).expect("our folder");
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p12_each_message_is_recorded_once_whatever_is_killed_and_rotated() {
    let kills: u32 = if is_long() { 200 } else { 20 };
    let sandbox = store();
    let password = sandbox.create(USER);
    keep_messages(&sandbox);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let mut dice = Dice::new();
    let mut wanted: Vec<(String, String)> = Vec::new();
    let path = log(&place);
    let follow = || Follower::start(&sandbox, &["--log", &path]);
    for _ in 0..kills {
        let follower = follow();
        let mut smtp = postfix.client().signed_in(USER, &password);
        for _ in 0..=dice.below(4) {
            let (domain, state) = ENDS[usize::try_from(dice.below(3)).expect("a few")];
            let to = format!("m{}@{domain}", wanted.len());
            assert_eq!(smtp.send_message(USER, &to).code, 250);
            wanted.push((to, state.to_owned()));
            match dice.below(6) {
                0 => rename(&place, &postfix, wanted.len()),
                1 => copy_and_truncate(&place, &wanted),
                _ => {}
            }
        }
        // At any moment, or when it has recorded something.
        if dice.once_in(2) {
            let before = states(&sandbox).len();
            wait_for("a message", || {
                let recorded = states(&sandbox).len();
                (recorded > before || before + 1 >= wanted.len()).then_some(())
            });
        }
        follower.kill();
    }
    wanted.sort();
    let follower = follow();
    wait_for("every end", || (states(&sandbox) == wanted).then_some(()));
    follower.stop();
    assert_eq!(states(&sandbox), wanted);
}
