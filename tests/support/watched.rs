//! A relay whose every answer is looked at, and remembered where it counts.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::mail::Place;
use crate::support::serve::{Auth, Policy};
use crate::support::{Sandbox, wait_for};

pub const USER: &str = "steady@example.com";
const LIMITED: &str = "counted@example.com";
const ADDRESS: &str = "192.0.2.9";
const TO: &str = "one@elsewhere.test";
/// Postfix gives up at 10 s.
const DEADLINE: Duration = Duration::from_millis(8500);
/// For the policy service it waits for 100 s.
const PATIENT: Duration = Duration::from_secs(12);
/// A relay, and what it has acknowledged.
pub struct Watched<'a> {
    sandbox: &'a Sandbox,
    place: &'a Place,
    pub password: String,
    pub sent: AtomicU32,
    instance: AtomicU32,
}

impl<'a> Watched<'a> {
    pub fn new(sandbox: &'a Sandbox, place: &'a Place) -> Self {
        let password = sandbox.create(USER);
        sandbox.create(LIMITED);
        sandbox.noted(&["user", "set", LIMITED, "--daily-limit", "1000000"]);
        Self {
            sandbox,
            place,
            password,
            sent: AtomicU32::new(0),
            instance: AtomicU32::new(0),
        }
    }

    /// Nothing where it was hung up; and how long that took.
    pub fn sign_in(&self, password: &str) -> (Option<bool>, Duration) {
        let began = Instant::now();
        let connected = Auth::connect(&self.place.auth());
        let said = connected.and_then(|mut auth| auth.plain(ADDRESS, USER, password));
        (
            said.expect("an answer, or hung up in time"),
            began.elapsed(),
        )
    }

    /// One message of each user, one of which has a limit; whether both passed.
    pub fn send(&self) -> bool {
        let number = self.instance.fetch_add(1, Ordering::Relaxed);
        let mut passed = 0;
        for user in [USER, LIMITED] {
            let began = Instant::now();
            let mut policy = Policy::connect(&self.place.policy()).expect("it listens");
            let instance = format!("{user}.{number}");
            let said = policy.ask("END-OF-MESSAGE", user, TO, &instance);
            assert!(began.elapsed() < PATIENT, "{:?}", began.elapsed());
            match said.expect("an answer, or hung up in time").as_deref() {
                Some("DUNNO") => {
                    passed += 1;
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
                Some(action) => panic!("{action}"),
                None => {}
            }
        }
        passed == 2
    }

    pub fn is_well(&self) {
        let (said, _) = self.sign_in(&self.password);
        assert_eq!(said, Some(true));
        assert!(self.send());
    }

    /// How soon all has to be well again: within a second, or within as much more as
    /// this machine is slower than one that signs in and sends in 5 ms.
    pub fn soon(&self) -> Duration {
        const TIMES: u32 = 20;
        let began = Instant::now();
        (0..TIMES).for_each(|_| self.is_well());
        Duration::from_secs(1).max(began.elapsed() / TIMES * 200)
    }

    /// While the database is gone: put off in time, right or wrong.
    pub fn is_put_off(&self) -> Duration {
        let mut slowest = Duration::ZERO;
        thread::scope(|scope| {
            let asked: Vec<_> = (0..12)
                .map(|i| {
                    scope.spawn(move || {
                        let wrong = format!("wrong{i}");
                        let password = if i % 2 == 0 { &self.password } else { &wrong };
                        self.sign_in(password)
                    })
                })
                .collect();
            for asked in asked {
                let (said, took) = asked.join().expect("an answer");
                assert_eq!(said, None);
                slowest = slowest.max(took);
            }
        });
        assert!(slowest < DEADLINE, "{slowest:?}");
        assert!(!self.send());
        slowest
    }

    /// After the database is back: how long it took until all is well.
    pub fn is_back_since(&self, back: Instant) -> [Duration; 2] {
        wait_for("right passwords to be right", || {
            let (said, _) = self.sign_in(&self.password);
            assert_ne!(said, Some(false), "a right password was wrong");
            said
        });
        let signed_in = back.elapsed();
        wait_for("messages to pass", || self.send().then_some(()));
        [signed_in, back.elapsed()]
    }

    /// Everything that was acknowledged is in the store.
    pub fn has_lost_nothing(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        wait_for("the usage", || {
            let written = written(self.sandbox);
            assert!(written <= sent.into(), "{written} of {sent}");
            (written == u64::from(sent)).then_some(())
        });
    }
}

/// How many messages of our users the usage knows of.
pub fn written(sandbox: &Sandbox) -> u64 {
    let usage = sandbox.json(&["usage"]);
    let ours = |user: &&serde_json::Value| user["name"] == USER || user["name"] == LIMITED;
    let found = usage.as_array().expect("rows").iter().filter(ours);
    found.filter_map(|user| user["messages"].as_u64()).sum()
}

/// Runs commands that change the store, one after another, until told to stop. Their
/// acknowledged changes must hold.
pub fn admin(sandbox: &Sandbox, done: &AtomicBool, name: &str) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    for i in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let user = format!("{name}{i}@example.com");
        let mut password = None;
        for args in [
            ["user", "create", &user, "-q"],
            ["user", "reset", &user, "-q"],
        ] {
            let run = sandbox.run(&args);
            match run.code {
                0 => password = Some(run.stdout.trim_end().to_owned()),
                // The outcome is unknown, and the command says so.
                75 => {
                    password = None;
                    break;
                }
                _ => panic!("{args:?}: {run:?}"),
            }
        }
        acknowledged.extend(password.map(|password| (user, password)));
    }
    acknowledged
}

/// Checks that each was created and reset once, and has the password that was shown.
pub fn hold(sandbox: &Sandbox, acknowledged: &[(String, String)]) {
    println!("{} users acknowledged", acknowledged.len());
    let events = sandbox.json(&["audit", "list"]);
    for (user, password) in acknowledged {
        assert_eq!(sandbox.verify(user, password), 0, "{user}");
        let actions = |action: &str| {
            let events = events.as_array().expect("events");
            let of = |e: &&serde_json::Value| e["username"] == *user && e["action"] == action;
            events.iter().filter(of).count()
        };
        assert_eq!((actions("user.create"), actions("user.reset")), (1, 1));
    }
}
