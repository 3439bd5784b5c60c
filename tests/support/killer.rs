//! Rotates passwords over and over, and kills whoever takes part in that.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use rusqlite::{Connection, OptionalExtension as _};

use crate::support::applications::{Application, OVERLAP, Watch, Way, deliveries};
use crate::support::dice::Dice;
use crate::support::serve::Serve;
use crate::support::{Sandbox, Server, is_long, wait_for};

/// A run that waits for something is killed after this, too.
const LONGEST: Duration = Duration::from_millis(800);

/// How many were killed, and when: a test that kills nobody shows nothing.
#[derive(Default)]
pub struct Kills {
    all: AtomicU32,
    serve: AtomicU32,
}

impl Kills {
    fn add(&self) {
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    /// Of the process that rotates, of what it runs to deliver, of serve: in all.
    pub fn wanted() -> u32 {
        if is_long() { 500 } else { 150 }
    }

    pub fn are_enough(&self) -> bool {
        self.all.load(Ordering::Relaxed) >= Self::wanted()
    }
}

/// Rotates, over and over, and kills what rotates.
pub struct Killer<'a> {
    sandbox: &'a Sandbox,
    store: Connection,
    dice: Dice,
    kills: &'a Kills,
    /// How a run takes that nobody kills.
    pace: BTreeMap<Way, Duration>,
    rotated: u32,
    /// Until when an older password of it works, and none is made.
    resting: BTreeMap<String, Instant>,
    deliveries: u32,
    /// Killed runs, by what the store said then.
    stages: BTreeMap<String, u32>,
}

impl<'a> Killer<'a> {
    pub fn new(
        sandbox: &'a Sandbox,
        kills: &'a Kills,
        dice: Dice,
        applications: &[Application],
    ) -> Self {
        let mut pace = BTreeMap::new();
        for application in applications {
            pace.entry(application.way).or_insert_with(|| {
                let began = Instant::now();
                let run = rotate(sandbox, &application.username).status();
                assert!(run.unwrap().success());
                began.elapsed()
            });
        }
        Self {
            sandbox,
            store: Connection::open(sandbox.store()).unwrap(),
            dice,
            kills,
            pace,
            rotated: 0,
            resting: BTreeMap::new(),
            deliveries: 0,
            stages: BTreeMap::new(),
        }
    }

    /// The stages at which no run was killed yet.
    pub fn unmet(&self) -> Vec<&'static str> {
        let mut stages = vec!["", "live", "handing"];
        stages.retain(|stage| !self.stages.contains_key(*stage));
        stages
    }

    pub fn rotate_one_of(&mut self, applications: &[Application]) {
        let now = Instant::now();
        let rests = |name: &String| self.resting.get(name).is_some_and(|until| now < *until);
        let mut awake: Vec<_> = applications.iter().collect();
        awake.retain(|application| !rests(&application.username));
        if awake.is_empty() {
            sleep(Duration::from_millis(10));
            return;
        }
        let i = self.dice.below(awake.len() as u64);
        self.rotate(awake[usize::try_from(i).unwrap()]);
    }

    /// One run, which is killed or what it runs.
    fn rotate(&mut self, application: &Application) {
        let began = Instant::now();
        let mut run = self.run(application);
        let command = application.way == Way::Command;
        if command && self.dice.once_in(2) {
            if Self::delivery_began(&mut run, application) {
                let moment = self.dice.within(Duration::from_millis(60));
                sleep(moment);
                self.kill_delivery(application);
            }
        } else if self.dice.once_in(4) {
            self.wait_for_new_password(&mut run, application);
            self.kill_run(&mut run, application);
        } else {
            let pace = self.pace[&application.way];
            // One that takes up what another left takes longer.
            let span = if self.dice.once_in(2) {
                pace
            } else {
                pace * 5 / 2
            };
            sleep(self.dice.within(span));
            self.kill_run(&mut run, application);
        }
        while run.0.try_wait().unwrap().is_none() {
            if began.elapsed() > LONGEST {
                self.kill_run(&mut run, application);
            }
            sleep(Duration::from_millis(2));
        }
        if run.0.wait().unwrap().success() {
            self.rotated += 1;
            let until = Instant::now() + OVERLAP;
            self.resting.insert(application.username.clone(), until);
        }
    }

    fn run(&mut self, application: &Application) -> Server {
        let mut run = rotate(self.sandbox, &application.username);
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
        Server(
            run.stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    /// Until the store has the new password, and before anybody else has: hardly any moment of
    /// chance falls in between.
    fn wait_for_new_password(&self, run: &mut Server, application: &Application) {
        let before = self.stage(application);
        let deadline = Instant::now() + LONGEST;
        while run.0.try_wait().unwrap().is_none() && Instant::now() < deadline {
            let stage = self.stage(application);
            if stage != before && stage.as_deref() == Some("live") {
                return;
            }
        }
    }

    fn stage(&self, application: &Application) -> Option<String> {
        const SQL: &str = "SELECT state FROM rotations WHERE username = ?1";
        let name = [&application.username];
        let stage = self.store.query_row(SQL, name, |row| row.get(0));
        stage.optional().unwrap()
    }

    fn delivery_began(run: &mut Server, application: &Application) -> bool {
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
        if run.0.wait().unwrap().signal().is_none() {
            return;
        }
        self.kills.add();
        let stage = self.stage(application).unwrap_or_default();
        *self.stages.entry(stage).or_default() += 1;
        if self.dice.once_in(3) {
            self.kill_delivery(application);
        }
    }
}

fn rotate(sandbox: &Sandbox, name: &str) -> Command {
    let overlap = format!("{}s", OVERLAP.as_secs());
    let args = ["user", "rotate", name, "--overlap", &overlap];
    // Its files belong to nobody, as serve does.
    sandbox.command(&[&args[..], &["--trust-store", "--quiet"]].concat())
}

/// Kills serve now and then, and starts it again.
pub fn kill_serve(serve: &mut Serve, kills: &Kills, watch: &Watch, mut dice: Dice) {
    while !kills.are_enough() && !watch.is_over() {
        sleep(dice.within(Duration::from_secs(2)));
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

impl fmt::Display for Killer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills: {} of serve, {} of deliveries, the others of runs, by what they left: \
             {:?}; {} rotated and not killed",
            self.kills.all.load(Ordering::Relaxed),
            self.kills.serve.load(Ordering::Relaxed),
            self.deliveries,
            self.stages,
            self.rotated,
        )
    }
}
