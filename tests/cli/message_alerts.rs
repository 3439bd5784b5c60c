//! Users whose messages do not arrive raise alerts.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::support::Sandbox;

/// The time some minutes ago, as Postfix logs it.
fn ago(minutes: u32) -> String {
    let run = Command::new("date")
        .args(["-u", "-d", &format!("{minutes} minutes ago")])
        .arg("+%Y-%m-%dT%H:%M:%S.000000+00:00")
        .output()
        .unwrap();
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

/// The log of a message for each outcome, sent so many minutes ago.
fn log(user: &str, first: u32, minutes: u32, outcomes: &[(&str, &str)]) -> String {
    let at = ago(minutes);
    let mut lines = String::new();
    for (n, (dsn, status)) in (first..).zip(outcomes) {
        let id = format!("{:010X}", 0xAB_0000 + n);
        let removed = if *status == "deferred" {
            String::new()
        } else {
            format!("{at} mx postfix/qmgr[2]: {id}: removed\n")
        };
        write!(
            lines,
            "{at} mx postfix/submission/smtpd[1]: {id}: client=app[192.0.2.1], sasl_method=PLAIN, sasl_username={user}
{at} mx postfix/cleanup[4]: {id}: message-id=<{id}@mx>
{at} mx postfix/qmgr[2]: {id}: from=<{user}>, size=100, nrcpt=1 (queue active)
{at} mx postfix/smtp[3]: {id}: to=<u{n}@example.net>, relay=mx.example.net[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn={dsn}, status={status} (said)
{removed}"
        )
        .unwrap();
    }
    lines
}

#[test]
fn bounces_deferrals_and_an_old_queue_are_told_once() {
    let sandbox = Sandbox::new();
    let users = [
        "a@example.com",
        "b@example.com",
        "c@example.com",
        "d@example.com",
    ];
    for user in users {
        sandbox.create(user);
    }
    sandbox.noted(&["set-settings", "--keep-messages", "30d"]);
    let (sent, failed, waiting) = (
        ("2.0.0", "sent"),
        ("5.1.1", "bounced"),
        ("4.2.2", "deferred"),
    );
    let (bounces, waits) = ([failed; 10], [waiting; 10]);
    let text = [
        log(users[0], 0, 30, &[&bounces[..], &[sent; 90]].concat()),
        log(users[1], 100, 30, &[&waits[..], &[sent; 10]].concat()),
        log(users[2], 200, 270, &waits[..3]),
        // Too few, too long ago, a small share.
        log(users[3], 300, 20, &[&bounces[..9], &waits[..9]].concat()),
        log(users[3], 400, 90, &bounces),
        log("gone@example.com", 500, 30, &bounces),
        log(users[2], 600, 400, &waits),
    ];
    let file = sandbox.folder.path().join("mail.log");
    fs::write(&file, text.concat()).unwrap();
    sandbox.noted(&["messages", "read", &file.display().to_string()]);
    let listed = || {
        sandbox.noted(&["alert", "send"]);
        let alerts = sandbox.json(&["alert", "list"]);
        let alerts = alerts.as_array().unwrap().iter();
        let mut told: Vec<_> = alerts
            .map(|alert| {
                let text = |name: &str| alert[name].as_str().unwrap().to_owned();
                assert_eq!(alert["more"], 0, "{alert:#}");
                // The command finds them.
                let next = text("next");
                let words: Vec<_> = next.split(' ').skip(1).collect();
                let found = sandbox.json(&words).as_array().unwrap().len();
                format!(
                    "{} {} {found}: {}",
                    text("kind"),
                    text("username"),
                    text("text")
                )
            })
            .collect();
        told.sort();
        told
    };
    let expected = [
        "bounces a@example.com 10: 10 of 100 recipients to whom a@example.com sent within an hour \
         bounced: the addresses are old, or other servers refuse its mail.",
        "deferred b@example.com 10: 10 of 20 recipients to whom b@example.com sent within an hour \
         were deferred: the mail server tries again.",
        "queue-old c@example.com 13: 3 messages of c@example.com waited in the queue for more than 4h.",
    ];
    assert_eq!(listed(), expected);
    // Counted again, and not told again.
    assert_eq!(listed(), expected);
}
