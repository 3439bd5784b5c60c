//! Clients of all kinds, all the time, while a test does something to the
//! store or to `smtpcred serve`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::mail::Place;
use crate::support::mail::postfix::Postfix;
use crate::support::serve::{Auth, Policy, Serve, postfix};
use crate::support::{Sandbox, wait_for};

pub const USER: &str = "shop@example.com";
const LIMITED: &str = "limited@example.com";
const TO: &str = "one@elsewhere.test";
const WRONG: &str = "wrong";

/// Of the clients on the sockets: as fast as they can they would leave Postfix
/// little of the processors.
const PACE: Duration = Duration::from_millis(1);

/// What was answered, and how often: 0 where it was hung up on.
pub type Answers = BTreeMap<(Asked, u16), u32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    Right,
    Wrong,
    /// Message of a user with a limit.
    Send,
    /// On the sockets, which have no codes of their own.
    RightDirect,
    WrongDirect,
    SendDirect,
}

pub struct World<'a> {
    pub sandbox: &'a Sandbox,
    place: &'a Place,
    postfix: &'a Postfix<'a>,
    passwords: [String; 2],
    answers: Mutex<Answers>,
    done: AtomicBool,
}

impl World<'_> {
    fn note(&self, asked: Asked, code: u16) {
        let mut answers = self.answers.lock().unwrap();
        *answers.entry((asked, code)).or_default() += 1;
    }

    pub fn count(&self, asked: Asked, code: u16) -> u32 {
        let answers = self.answers.lock().unwrap();
        answers.get(&(asked, code)).copied().unwrap_or(0)
    }

    fn repeat(&self, mut ask: impl FnMut() -> std::io::Result<()>, asked: Asked) {
        while !self.done.load(Ordering::Relaxed) {
            if let Err(error) = ask() {
                // Shown where the test fails.
                eprintln!("{asked:?}: {error}");
                self.note(asked, 0);
                // As fast as it is refused would be as fast as it goes.
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// A session like any other; where it was put off, once more in the same one.
    fn postfix_session(&self, user: &str, password: &str) -> std::io::Result<()> {
        let mut smtp = self.postfix.try_client()?;
        let mut reply = smtp.try_auth_plain(user, password, true)?;
        self.note(Asked::Right, reply.code);
        if reply.code != 235 {
            reply = smtp.try_auth_login(user, password, false)?;
            self.note(Asked::Right, reply.code);
        }
        if reply.code == 235 {
            let sent = smtp.try_send_message(user, TO)?;
            self.note(Asked::Send, sent.code);
        }
        Ok(())
    }

    /// A wrong password, and after it the right one.
    fn postfix_mistake(&self) -> std::io::Result<()> {
        let mut smtp = self.postfix.try_client()?;
        let reply = smtp.try_auth_plain(USER, WRONG, true)?;
        self.note(Asked::Wrong, reply.code);
        let reply = smtp.try_auth_plain(USER, &self.passwords[0], true)?;
        self.note(Asked::Right, reply.code);
        Ok(())
    }

    fn direct(&self, asked: Asked, address: &str, password: &str) -> std::io::Result<()> {
        let mut auth = Auth::connect(&self.place.auth())?;
        for _ in 0..20 {
            let Some(right) = auth.plain(address, USER, password)? else {
                self.note(asked, 454);
                return Ok(());
            };
            self.note(asked, if right { 235 } else { 535 });
            thread::sleep(PACE);
        }
        Ok(())
    }

    fn direct_message(&self, instance: &str) -> std::io::Result<()> {
        let mut policy = Policy::connect(&self.place.policy())?;
        for state in ["RCPT", "END-OF-MESSAGE"] {
            let code = match policy.ask(state, LIMITED, TO, instance)?.as_deref() {
                Some("DUNNO") => 250,
                Some(action) => panic!("{action}"),
                None => 451,
            };
            self.note(Asked::SendDirect, code);
            thread::sleep(PACE);
        }
        Ok(())
    }

    /// Twenty right sign-ins and messages more than there were, in any way.
    pub fn goes_on(&self) {
        for (asked, code) in [
            (Asked::Right, 235),
            (Asked::RightDirect, 235),
            (Asked::Send, 250),
            (Asked::SendDirect, 250),
            (Asked::Wrong, 535),
            (Asked::WrongDirect, 535),
        ] {
            let wanted = self.count(asked, code) + if code == 535 { 1 } else { 20 };
            wait_for("all to go on", || {
                assert!(!self.done.load(Ordering::Relaxed), "a client has failed");
                (self.count(asked, code) >= wanted).then_some(())
            });
        }
    }
}

/// The load ends, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Clients of all kinds while something happens, and after it. Returns what
/// they were told.
pub fn under_load(sandbox: &Sandbox, happens: impl FnOnce(&World, &mut Serve)) -> Answers {
    let passwords = [USER, LIMITED].map(|user| sandbox.create(user));
    sandbox.noted(&["user", "set", LIMITED, "--daily-limit", "1000000"]);
    let place = Place::new();
    let mut serve = Serve::start(sandbox, &place);
    let postfix = postfix(sandbox, &place);
    let world = World {
        sandbox,
        place: &place,
        postfix: &postfix,
        passwords,
        answers: Mutex::default(),
        done: AtomicBool::new(false),
    };
    let world = &world;
    thread::scope(|scope| {
        let _end = End(&world.done);
        for user in [0, 1, 1] {
            let (name, password) = ([USER, LIMITED][user], &world.passwords[user]);
            let session = || world.postfix_session(name, password);
            scope.spawn(move || {
                let _end = End(&world.done);
                world.repeat(session, Asked::Right);
            });
        }
        scope.spawn(|| world.repeat(|| world.postfix_mistake(), Asked::Wrong));
        for i in 1..=2 {
            let address = format!("192.0.2.{i}");
            let right = move || world.direct(Asked::RightDirect, &address, &world.passwords[0]);
            scope.spawn(move || world.repeat(right, Asked::RightDirect));
        }
        let wrong = || world.direct(Asked::WrongDirect, "192.0.2.3", WRONG);
        scope.spawn(move || world.repeat(wrong, Asked::WrongDirect));
        scope.spawn(|| {
            let mut n = 0;
            let message = || {
                n += 1;
                world.direct_message(&n.to_string())
            };
            world.repeat(message, Asked::SendDirect);
        });
        world.goes_on();
        happens(world, &mut serve);
        world.goes_on();
    });
    if world.count(Asked::Right, 0) > 0 {
        eprintln!("-- the log of Postfix:\n{}", postfix.log());
    }
    let answers = std::mem::take(&mut *world.answers.lock().unwrap());
    for ((asked, code), n) in &answers {
        let allowed: &[u16] = match asked {
            Asked::Right | Asked::RightDirect => &[0, 235, 454],
            Asked::Wrong | Asked::WrongDirect => &[0, 454, 535],
            Asked::Send | Asked::SendDirect => &[0, 250, 450, 451],
        };
        assert!(
            allowed.contains(code),
            "{asked:?}: {code}, {n} times: {answers:?}"
        );
    }
    answers
}
