//! Rotation never leaves an application without a working password (promise 6),
//! whoever is killed and whenever. The moments are random; to repeat a run, set
//! `KILL_SEED` to what it printed.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use rusqlite::{Connection, OptionalExtension as _};

mod support;
use support::{Sandbox, Server, wait_for};

#[path = "support/applications.rs"]
mod applications;
#[path = "support/mail/mod.rs"]
mod mail;
#[path = "support/nobody.rs"]
mod nobody;
#[path = "support/serve.rs"]
mod serve;
use applications::{Application, Watch, Way, deliveries};
use mail::Place;
use serve::{Serve, store};

/// Of the process that rotates, of what it runs to deliver, of serve: in all.
const KILLS: u32 = 500;
/// A run that waits for something is killed after this, too.
const LONGEST: Duration = Duration::from_millis(1200);

/// xorshift: uneven and repeatable is all it has to be.
struct Dice(u64);

impl Dice {
    fn seed() -> u64 {
        let seed = match std::env::var("KILL_SEED") {
            Ok(seed) => seed.parse().expect("KILL_SEED is a number"),
            Err(_) => u64::from(std::process::id()) * 0x9e37_79b9 + 1,
        };
        println!("KILL_SEED={seed}");
        seed
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn within(&mut self, span: Duration) -> Duration {
        let micros = span.as_micros().try_into().expect("a short time");
        Duration::from_micros(self.below(micros))
    }
}

/// How many were killed, and when: a test that kills nobody shows nothing.
#[derive(Default)]
struct Kills {
    all: AtomicU32,
    serve: AtomicU32,
}

impl Kills {
    fn add(&self) {
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    fn are_enough(&self) -> bool {
        self.all.load(Ordering::Relaxed) >= KILLS
    }
}

/// Rotates, over and over, and kills what rotates.
struct Killer<'a> {
    sandbox: &'a Sandbox,
    store: Connection,
    dice: Dice,
    kills: &'a Kills,
    /// How a run takes that nobody kills.
    pace: BTreeMap<bool, Duration>,
    rotated: u32,
    deliveries: u32,
    /// Killed runs, by what the store said then.
    stages: BTreeMap<String, u32>,
}

impl Killer<'_> {
    /// One run, which is killed or what it runs.
    fn rotate(&mut self, application: &Application) {
        let began = Instant::now();
        let mut run = self.run(application);
        let command = application.way == Way::Command;
        if command && self.dice.once_in(2) {
            if self.delivery_began(&mut run, application) {
                let moment = self.dice.within(Duration::from_millis(60));
                sleep(moment);
                self.kill_delivery(application);
            }
        } else {
            let pace = self.pace[&command];
            sleep(self.dice.within(pace * 4 / 3));
            self.kill_run(&mut run, application);
        }
        while run.0.try_wait().unwrap().is_none() {
            if began.elapsed() > LONGEST {
                self.kill_run(&mut run, application);
            }
            sleep(Duration::from_millis(2));
        }
        self.rotated += u32::from(run.0.wait().unwrap().success());
    }

    fn run(&mut self, application: &Application) -> Server {
        let overlap = ["2s", "3s"][usize::from(self.dice.once_in(3))];
        let mut run = rotate(self.sandbox, &application.username, overlap);
        for name in ["BEFORE", "BETWEEN", "AFTER"] {
            let mut seconds = self.dice.within(Duration::from_millis(30)).as_secs_f64();
            if self.dice.once_in(30) {
                // Longer than its time, and not longer than anybody waits.
                seconds = 2.5;
            }
            run.env(name, seconds.to_string());
        }
        if self.dice.once_in(10) {
            run.env("CODE", "1");
        }
        Server(run.stderr(Stdio::null()).spawn().unwrap())
    }

    fn delivery_began(&self, run: &mut Server, application: &Application) -> bool {
        wait_for("a delivery or the end", || {
            if !deliveries(&application.file).is_empty() {
                return Some(true);
            }
            run.0.try_wait().unwrap().map(|_| false)
        })
    }

    fn kill_delivery(&mut self, application: &Application) {
        for group in deliveries(&application.file) {
            if killpg(group, Signal::SIGKILL).is_ok() {
                self.kills.add();
                self.deliveries += 1;
            }
        }
    }

    fn kill_run(&mut self, run: &mut Server, application: &Application) {
        if run.0.try_wait().unwrap().is_some() {
            return;
        }
        run.0.kill().unwrap();
        if run.0.wait().unwrap().success() {
            return;
        }
        self.kills.add();
        const SQL: &str = "SELECT state FROM rotations WHERE username = ?1";
        let stage = self
            .store
            .query_row(SQL, [&application.username], |row| row.get(0));
        let stage: Option<String> = stage.optional().unwrap();
        *self.stages.entry(stage.unwrap_or_default()).or_default() += 1;
        if self.dice.once_in(3) {
            self.kill_delivery(application);
        }
    }
}

fn rotate(sandbox: &Sandbox, name: &str, overlap: &str) -> std::process::Command {
    let args = ["user", "rotate", name, "--overlap", overlap];
    // Its files belong to nobody, as serve does.
    sandbox.command(&[&args[..], &["--trust-store", "--quiet"]].concat())
}

/// Kills serve now and then, and starts it again.
fn kill_serve(serve: &mut Serve, kills: &Kills, watch: &Watch, mut dice: Dice) {
    while !kills.are_enough() && !watch.is_over() {
        sleep(dice.within(Duration::from_secs(3)));
        serve.kill();
        kills.add();
        kills.serve.fetch_add(1, Ordering::Relaxed);
        sleep(dice.within(Duration::from_millis(400)));
        serve.start_again();
        // Without sign-ins nobody could tell what has arrived.
        let before = watch.count(235);
        wait_for("sign-ins to go on", || {
            (watch.is_over() || watch.count(235) > before).then_some(())
        });
    }
}

/// The keys that work, as `user show` has them.
fn live_keys(sandbox: &Sandbox, username: &str) -> Vec<serde_json::Value> {
    let user = sandbox.json(&["user", "show", username]);
    user["keys"].as_array().unwrap().clone()
}

fn at_most_two(sandbox: &Sandbox, applications: &[Application]) {
    for application in applications {
        let keys = live_keys(sandbox, &application.username);
        assert!((1..=2).contains(&keys.len()), "{keys:?}");
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p6_no_kill_leaves_an_application_without_a_password() {
    let sandbox = store();
    let applications: Vec<_> = (0..8)
        .map(|i| {
            let way = if i % 4 == 3 { Way::File } else { Way::Command };
            Application::new(&sandbox, &format!("app{i}"), way)
        })
        .collect();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let (watch, kills) = (Watch::new(), Kills::default());
    let mut dice = Dice(Dice::seed());
    let of_serve = Dice(dice.below(u64::MAX) | 1);
    let pace = applications[2..4].iter().map(|application| {
        let began = Instant::now();
        assert!(
            rotate(&sandbox, &application.username, "2s")
                .status()
                .unwrap()
                .success()
        );
        (application.way == Way::Command, began.elapsed())
    });
    let mut killer = Killer {
        sandbox: &sandbox,
        store: Connection::open(sandbox.store()).unwrap(),
        dice,
        kills: &kills,
        pace: pace.collect(),
        rotated: 0,
        deliveries: 0,
        stages: BTreeMap::new(),
    };
    let began = Instant::now();
    let polls = thread::scope(|scope| {
        let end = watch.end();
        for application in &applications {
            scope.spawn(|| {
                let _end = watch.end();
                watch.sign_in_always(application, &postfix);
            });
        }
        let polling = scope.spawn(|| {
            let _end = watch.end();
            let mut polls = 0;
            while !watch.is_over() {
                at_most_two(&sandbox, &applications);
                polls += 1;
            }
            polls
        });
        let killing = scope.spawn(|| kill_serve(&mut serve, &kills, &watch, of_serve));
        while !kills.are_enough() && !watch.is_over() {
            let i = killer.dice.below(applications.len() as u64);
            killer.rotate(&applications[usize::try_from(i).unwrap()]);
        }
        killing.join().unwrap();
        println!("{:?} for the kills", began.elapsed());
        if !watch.is_over() {
            all_is_decided(&sandbox, &applications);
        }
        drop(end);
        polling.join().unwrap()
    });
    let heard = watch.heard();
    println!(
        "{} kills, {} of serve, {} of deliveries, the others of runs, by what was left: {:?}; \
         {} rotated; sign-ins: {:?}, the slowest {:?}; {polls} looks at all users; {:?}",
        kills.all.load(Ordering::Relaxed),
        kills.serve.load(Ordering::Relaxed),
        killer.deliveries,
        killer.stages,
        killer.rotated,
        heard.answers,
        heard.slowest,
        began.elapsed(),
    );
    assert!(heard.refused.is_empty(), "{:#?}", heard.refused);
    assert!(heard.answers[&235] > 1000);
    for stage in ["", "live", "handing"] {
        assert!(
            killer.stages.get(stage).is_some_and(|n| *n > 5),
            "{stage:?}"
        );
    }
}

/// With nobody killed any more, one run is enough.
fn all_is_decided(sandbox: &Sandbox, applications: &[Application]) {
    let run = sandbox.run(&[
        "user",
        "rotate",
        "--due",
        "--overlap",
        "2s",
        "--trust-store",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    println!("{}", run.stderr);
    let report = sandbox.run(&["report", "--unfinished"]);
    assert_eq!(report.code, 0, "{}", report.stdout);
    at_most_two(sandbox, applications);
    for application in applications {
        let name = &application.username;
        assert_eq!(sandbox.verify(name, &application.password()), 0, "{name}");
    }
}
