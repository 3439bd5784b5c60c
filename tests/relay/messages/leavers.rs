//! Mail servers that ask and hang up before the answer: nothing is counted for them, and
//! no user is punished.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, poll};

use super::{Asker, OTHER, USER, limited, says};
use crate::support::mail::Place;
use crate::support::postgres::Postgres;
use crate::support::serve::{Serve, own, settled, store};
use crate::support::{Sandbox, free_port, wait_for};

/// A mail server that asks and does not wait for the answer.
enum Leaver {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Leaver {
    fn ask(place: &Place, port: Option<u16>, request: &str) -> Self {
        let request = format!("request=smtpd_access_policy\n{request}\n");
        match port {
            None => {
                let mut stream = UnixStream::connect(place.policy()).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                Self::Unix(stream)
            }
            Some(port) => {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                Self::Tcp(stream)
            }
        }
    }

    /// Waits until the answer has arrived, without reading it.
    fn is_answered(&self) {
        let socket = match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        };
        let mut there = [PollFd::new(socket, PollFlags::POLLIN)];
        assert_eq!(poll(&mut there, 10_000_u16).unwrap(), 1, "no answer");
    }
}

fn at_end(instance: &str) -> String {
    format!(
        "protocol_state=END-OF-MESSAGE\nsender={USER}\nrecipient=a@x.test\nrecipient_count=1\n\
         instance={instance}\nsize=100\nsasl_username={USER}\n"
    )
}

/// A mail server asks for the last message of a limit and leaves: the next one gets it.
fn leavers_take_no_room(sandbox: &Sandbox) {
    limited(sandbox, "messages/day=1000", "defer");
    sandbox.create(OTHER);
    sandbox.noted(&["user", "set", OTHER, "--limit", "messages/day=1000"]);
    let place = Place::new();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let _serve = Serve::start_with(sandbox, &place, &["--listen", &listen]);
    let mut asker = Asker::new(&place);
    let limits: [(&[&str], &str); 5] = [
        (&["user", "set", USER], "messages/hour"),
        (&["user", "set", USER], "recipients/day"),
        (&["user", "set", USER], "new-recipients/day"),
        (&["domain", "set", "example.com"], "messages/hour"),
        (&["set-settings"], "recipients/hour"),
    ];
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("i{number}")
    };
    for (command, kind) in limits {
        for port in [None, Some(port)] {
            for before in [true, false] {
                sandbox.sql("DELETE FROM counts; DELETE FROM recipients; DELETE FROM usage");
                sandbox.noted(&[command, &["--limit", &format!("{kind}=1")]].concat());
                let case = format!("{kind} {port:?} {before}");
                // Leaves before or after the answer.
                let lock = before.then(|| sandbox.lock());
                let same = next();
                let leaver = Leaver::ask(&place, port, &at_end(&same));
                if !before {
                    leaver.is_answered();
                }
                // serve has then seen the request, and the end after it.
                assert_eq!(asker.mail(), "DUNNO", "{case}");
                drop(leaver);
                assert_eq!(asker.mail(), "DUNNO", "{case}");
                drop(lock);
                // Reaches the writing side after the one that left.
                if kind.starts_with("new-") {
                    assert_eq!(asker.sent(OTHER, OTHER, &next(), 1), "DUNNO");
                }
                // Postfix asks again under the same name; a client's next attempt has another.
                let again = before == port.is_some();
                let mut name = if again { same } else { next() };
                wait_for(&case, || {
                    let said = asker.0.say(&at_end(&name)).unwrap();
                    name = next();
                    // Two requests at the same time.
                    if said.is_none() {
                        asker = Asker::new(&place);
                    }
                    (said.as_deref() == Some("DUNNO")).then_some(())
                });
                let over = at_end(&next()).replace("a@x.test", "b@x.test");
                says(&asker.0.say(&over).unwrap().unwrap(), "450 4.7.1 ");
                settled(sandbox);
                sandbox.noted(&[command, &["--limit", &format!("{kind}=none")]].concat());
            }
        }
    }
}

/// A message over the limit has no consequences if its mail server has left.
fn leavers_are_not_punished(sandbox: &Sandbox) {
    for action in ["suspend", "delete"] {
        limited(sandbox, "messages/hour=1", action);
        sandbox.create(OTHER);
        sandbox.noted(&["user", "set", OTHER, "--limit", "messages/hour=9"]);
        let place = Place::new();
        let mut serve = Serve::start(sandbox, &place);
        let mut asker = Asker::new(&place);
        assert_eq!(asker.0.say(&at_end("i1")).unwrap().unwrap(), "DUNNO");
        let lock = sandbox.lock();
        let leaver = Leaver::ask(&place, None, &at_end("i2"));
        assert_eq!(asker.mail(), "DUNNO");
        drop(leaver);
        assert_eq!(asker.mail(), "DUNNO");
        drop(lock);
        // Counted after it.
        assert_eq!(asker.sent(OTHER, OTHER, "o1", 1), "DUNNO");
        let show = sandbox.json(&["user", "show", USER]);
        assert_eq!(show["status"], "active", "{show}");
        says(&asker.0.say(&at_end("i3")).unwrap().unwrap(), "554 5.7.1 ");
        let show = sandbox.run(&["user", "show", USER, "--json"]);
        let punished = show.code == 3 || show.stdout.contains(r#""status": "suspended""#);
        assert!(punished, "{show:?}");
        serve.stop();
        let remove = ["domain", "remove", "example.com", "--yes", "--with-users"];
        sandbox.noted(&remove);
        sandbox.noted(&["domain", "add", "example.com"]);
        sandbox.sql("DELETE FROM counts");
    }
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn an_abandoned_message_suspends_no_user() {
    leavers_are_not_punished(&store());
    let server = Postgres::start();
    let sandbox = server.sandbox();
    own(&sandbox);
    leavers_are_not_punished(&sandbox);
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p7_nothing_is_counted_for_an_answer_that_does_not_arrive() {
    leavers_take_no_room(&store());
    let server = Postgres::start();
    let sandbox = server.sandbox();
    own(&sandbox);
    leavers_take_no_room(&sandbox);
}
