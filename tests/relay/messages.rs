//! What counts for a message, asked on the policy socket: once, for the one who
//! sends it, and only what is sent.

mod leavers;

use std::thread;

use crate::support::mail::Place;
use crate::support::mail::smtp::Smtp;
use crate::support::postgres::Postgres;
use crate::support::serve::{Policy, Serve, exim, own, postfix, settled, store};
use crate::support::{Sandbox, wait_for};

const USER: &str = "shop@example.com";
const OTHER: &str = "other@example.com";

fn limited(sandbox: &Sandbox, limit: &str, action: &str) {
    sandbox.create(USER);
    sandbox.noted(&["user", "set", USER, "--limit", limit, "--on-limit", action]);
}

struct Asker(Policy);

impl Asker {
    fn new(place: &Place) -> Self {
        Self(Policy::connect(&place.policy()).expect("it listens"))
    }

    fn rcpt(&mut self, instance: &str, to: &str) -> String {
        let action = self.0.ask("RCPT", USER, to, instance).unwrap();
        action.expect("an answer")
    }

    fn mail(&mut self) -> String {
        let action = self.0.ask("MAIL", USER, "", "").unwrap();
        action.expect("an answer")
    }

    /// The message of one user from one address to so many recipients.
    fn sent(&mut self, user: &str, sender: &str, instance: &str, count: u32) -> String {
        self.sized(user, sender, instance, count, 100)
    }

    fn sized(&mut self, user: &str, from: &str, instance: &str, count: u32, size: u64) -> String {
        let attributes = format!(
            "protocol_state=END-OF-MESSAGE\nsender={from}\nrecipient=\nrecipient_count={count}\n\
             instance={instance}\nsize={size}\nsasl_username={user}\n"
        );
        self.0.say(&attributes).unwrap().expect("an answer")
    }
}

fn says(action: &str, code: &str) {
    assert!(action.starts_with(code), "{action}");
}

/// Many meet the limit at the same time: the user is suspended once.
#[test]
#[ignore = "needs root: run tests/run"]
fn one_suspension_by_a_limit_is_one_event_and_one_alert() {
    let sandbox = store();
    limited(&sandbox, "messages/hour=2", "suspend");
    let place = Place::new();
    let serve = Serve::start(&sandbox, &place);
    thread::scope(|scope| {
        for n in 0..60 {
            let place = &place;
            scope.spawn(move || {
                let said = Asker::new(place).sent(USER, USER, &format!("i{n}"), 1);
                assert!(said == "DUNNO" || said.starts_with("554 "), "{said}");
            });
        }
    });
    let events = sandbox.ok(&["audit", "list", "--user", USER]);
    assert_eq!(events.matches("user.suspend").count(), 1, "{events}");
    serve.logs("limit met");
    let log = serve.log();
    assert_eq!(log.matches("limit met").count(), 1, "{log}");
}

/// The instance of one message lets no other one pass.
#[test]
#[ignore = "needs root: run tests/run"]
fn p7_an_answer_is_for_one_message_and_for_once() {
    let sandbox = store();
    limited(&sandbox, "messages/hour=2", "defer");
    sandbox.create(OTHER);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut asker = Asker::new(&place);
    assert_eq!(asker.sent(OTHER, OTHER, "same", 1), "DUNNO");
    assert_eq!(asker.sent(USER, USER, "same", 1), "DUNNO");
    // The answer was lost: the mail server asks once more.
    assert_eq!(asker.sent(USER, USER, "same", 1), "DUNNO");
    // The same instance for another sender, or to others, is another message.
    assert_eq!(asker.sent(USER, "a@example.com", "same", 1), "DUNNO");
    says(&asker.sent(USER, "b@example.com", "same", 1), "450 4.7.1 ");
    says(&asker.sent(USER, USER, "same", 2), "450 4.7.1 ");
    // It is used up by now.
    says(&asker.sent(USER, USER, "same", 1), "450 4.7.1 ");
    says(&asker.sent(USER, USER, "other", 1), "450 4.7.1 ");
    wait_for("the usage", || {
        let usage = sandbox.json(&["usage"]);
        let of = |name: &str| {
            let mut users = usage.as_array().unwrap().iter();
            users
                .find(|one| one["name"] == name)
                .map(|one| one["messages"].clone())
        };
        (of(USER) == Some(2.into()) && of(OTHER) == Some(1.into())).then_some(())
    });
}

/// Recipients that are refused after us, and messages that are given up.
#[test]
#[ignore = "needs root: run tests/run"]
fn p7_new_recipients_count_with_their_message() {
    let sandbox = store();
    limited(&sandbox, "new-recipients/day=3", "suspend");
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut asker = Asker::new(&place);
    for n in 0..20 {
        assert_eq!(
            asker.rcpt(&format!("i{}", n / 2), &format!("typo{n}@x.test")),
            "DUNNO"
        );
    }
    // Three, of which the mail server took two.
    for to in ["a@x.test", "b@x.test", "c@x.test", "A@x.test"] {
        assert_eq!(asker.rcpt("m1", to), "DUNNO");
    }
    // No room for a fourth in this message; asking suspends no user.
    says(&asker.rcpt("m1", "d@x.test"), "452 4.5.3 Sending limit");
    assert_eq!(asker.sent(USER, USER, "m1", 2), "DUNNO");
    // Known by now, and one more.
    for to in ["a@x.test", "b@x.test", "e@x.test"] {
        assert_eq!(asker.rcpt("m2", to), "DUNNO");
    }
    assert_eq!(asker.sent(USER, USER, "m2", 3), "DUNNO");
    for to in ["a@x.test", "b@x.test", "e@x.test"] {
        assert_eq!(asker.rcpt("m3", to), "DUNNO");
    }
    assert_eq!(asker.sent(USER, USER, "m3", 3), "DUNNO");
    // What names no message counts at once: it cannot be told when it is whole.
    sandbox.noted(&["user", "set", USER, "--limit", "new-recipients/day=4"]);
    assert_eq!(asker.rcpt("", "f@x.test"), "DUNNO");
    assert_eq!(asker.rcpt("", "f@x.test"), "DUNNO");
    says(&asker.rcpt("m4", "g@x.test"), "554 5.7.1 Sending limit");
    let show = sandbox.json(&["user", "show", USER]);
    assert_eq!(show["status"], "suspended", "{show}");
}

/// The rest of a message may come in another one: it is not refused for good.
#[test]
#[ignore = "needs root, Postfix and Exim: run tests/run"]
fn the_rest_of_a_message_is_deferred() {
    for (action, over, next) in [
        ("defer", "452 4.5.3 ", "450 4.7.1 "),
        ("suspend", "452 4.5.3 ", "554 5.7.1 "),
        ("reject", "554 5.7.1 ", "554 5.7.1 "),
    ] {
        let sandbox = store();
        limited(&sandbox, "recipients/hour=10", action);
        let place = Place::new();
        let _serve = Serve::start(&sandbox, &place);
        let mut asker = Asker::new(&place);
        let to = |n: u32| format!("r{n}@elsewhere.test");
        for n in 0..10 {
            assert_eq!(asker.rcpt("i1", &to(n)), "DUNNO");
        }
        for n in 10..15 {
            says(&asker.rcpt("i1", &to(n)), over);
        }
        // One that it has already is no more.
        assert_eq!(asker.rcpt("i1", &to(3)), "DUNNO");
        assert_eq!(asker.sent(USER, USER, "i1", 10), "DUNNO");
        says(&asker.rcpt("i2", &to(11)), next);
    }
    let place = Place::new();
    let sandbox = store();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    in_a_session(&sandbox, &|| postfix.client(), 452, 450);
    let place = Place::new();
    let sandbox = store();
    let _serve = Serve::start(&sandbox, &place);
    let exim = exim(&sandbox, &place);
    in_a_session(&sandbox, &|| exim.client(), 451, 451);
}

/// Three recipients of five, by a mail server that says so in these codes.
fn in_a_session(sandbox: &Sandbox, connect: &dyn Fn() -> Smtp, rest: u16, over: u16) {
    let password = sandbox.create(USER);
    let limits = ["recipients/hour=6", "new-recipients/day=3"];
    sandbox.noted(&[
        "user", "set", USER, "--limit", limits[0], "--limit", limits[1],
    ]);
    let mut smtp = connect();
    assert_eq!(smtp.auth_plain(USER, &password, true).code, 235);
    // Given up.
    for name in ["v", "w", "x", "y", "z"] {
        assert_eq!(smtp.mail(USER).code, 250);
        assert_eq!(smtp.rcpt(&format!("{name}@x.test")).code, 250);
        assert_eq!(smtp.command("RSET").code, 250);
    }
    let mut send = |to: &[&str]| {
        assert_eq!(smtp.mail(USER).code, 250);
        let codes: Vec<_> = to
            .iter()
            .map(|name| smtp.rcpt(&format!("{name}@x.test")).code)
            .collect();
        (codes, smtp.data("Subject: some\n\ntest\n").code)
    };
    assert_eq!(
        send(&["a", "b", "c", "d", "e"]),
        (vec![250, 250, 250, rest, rest], 250)
    );
    assert_eq!(
        send(&["c", "b", "a", "d"]),
        (vec![250, 250, 250, rest], 250)
    );
    assert_eq!(smtp.send_message(USER, "a@x.test").code, over);
}

fn sizes_and_sums(sandbox: &Sandbox) {
    for user in [USER, OTHER] {
        sandbox.create(user);
    }
    let place = Place::new();
    let mut serve = Serve::start(sandbox, &place);
    let sent = |name: &str, bytes: u64, messages: u64| {
        wait_for("the usage", || {
            let usage = sandbox.json(&["usage"]);
            let mut users = usage.as_array().unwrap().iter();
            let one = users.find(|one| one["name"] == name)?;
            (one["bytes"] == bytes && one["messages"] == messages).then_some(())
        });
    };
    let mut asker = Asker::new(&place);
    for (n, size) in [i64::MAX as u64, u64::MAX, 100].into_iter().enumerate() {
        let said = asker.sized(USER, USER, &format!("s{n}"), u32::MAX, size);
        assert_eq!(said, "DUNNO");
    }
    assert_eq!(asker.sent(OTHER, OTHER, "o1", 1), "DUNNO");
    sent(USER, 100, 3);
    sent(OTHER, 100, 1);
    // As an earlier version has left it.
    sandbox.sql("UPDATE usage SET bytes = 9223372036854775807, refusals = 9223372036854775807");
    sandbox.sql("UPDATE counts SET recipients = 9223372036854775807");
    serve.stop();
    serve.start_again();
    let mut asker = Asker::new(&place);
    for (user, instance) in [(USER, "s8"), (OTHER, "o8")] {
        assert_eq!(asker.sent(user, user, instance, u32::MAX), "DUNNO");
        says(&asker.sent(user, "x@stranger.test", instance, 1), "553 ");
    }
    // As much as there can be, and messages are counted on.
    sent(USER, 1 << 50, 4);
    sent(OTHER, 1 << 50, 2);
    for by in ["user", "domain", "day"] {
        sandbox.ok(&["usage", "--by", by]);
    }
    sandbox.noted(&["user", "set", USER, "--limit", "recipients/day=5"]);
    says(&asker.sent(USER, USER, "s9", 1), "450 4.7.1 ");
    sandbox.noted(&["user", "set", OTHER, "--daily-limit", "9"]);
    assert_eq!(asker.sent(OTHER, OTHER, "o9", 1), "DUNNO");
    settled(sandbox);
    let log = serve.log();
    assert!(!log.contains("cannot write"), "{log}");
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn sums_end_where_they_can_grow_no_more() {
    sizes_and_sums(&store());
    let server = Postgres::start();
    let sandbox = server.sandbox();
    own(&sandbox);
    sizes_and_sums(&sandbox);
}

/// What the database does not take, of one user, is lost alone.
#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn one_bad_item_keeps_nothing_else_from_being_written() {
    let server = Postgres::start();
    let sandbox = server.sandbox();
    own(&sandbox);
    for user in [USER, OTHER] {
        sandbox.create(user);
    }
    sandbox.sql(&format!(
        "ALTER TABLE usage ADD CONSTRAINT bad CHECK (username <> '{USER}')"
    ));
    let place = Place::new();
    let serve = Serve::start(&sandbox, &place);
    let mut asker = Asker::new(&place);
    for n in 0..3 {
        for user in [USER, OTHER] {
            assert_eq!(asker.sent(user, user, &format!("{user}{n}"), 1), "DUNNO");
        }
        wait_for("the usage of the other", || {
            let usage = sandbox.json(&["usage"]);
            (usage[0]["name"] == OTHER && usage[0]["messages"] == n + 1).then_some(())
        });
    }
    serve.logs("cannot write");
}
