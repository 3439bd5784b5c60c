//! A distant database: commands for many users do not need a round trip for each user.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::support::Sandbox;
use crate::support::postgres::Postgres;
use crate::support::slow::Slow;

const SHA: &str = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";
const FEW: usize = 30;
const MANY: usize = 150;
/// The least delay of an answer.
const FAR: Duration = Duration::from_millis(40);

/// Its own domain has this many users.
struct Ground {
    sandbox: Sandbox,
    slow: Slow,
}

impl Ground {
    fn new(server: &Postgres, users: usize) -> Self {
        let mut sandbox = server.sandbox_with_domain();
        sandbox.noted(&["set-settings", "--argon2", "m=7168,t=5,p=1"]);
        let slow = Slow::before(server.folder());
        let ground = |sandbox: &Sandbox, name: &str, label: &str, hash: &str| {
            let mut text = "username,label,hash\n".to_owned();
            for i in 0..users {
                writeln!(text, "app{i}@example.com,{label},{hash}").expect("a string");
            }
            fs::write(sandbox.folder.path().join(name), text).expect("our folder");
        };
        ground(&sandbox, "users.csv", "Shop", SHA);
        ground(&sandbox, "labels.csv", "Blog", "");
        let plan = |domain: &str, label: &str| {
            let mut text = format!("[domains.\"{domain}\"]\n");
            for i in 0..users {
                writeln!(text, "[users.\"app{i}@{domain}\"]\nlabel = \"{label}\"")
                    .expect("a string");
            }
            text
        };
        let place = |name: &str| sandbox.folder.path().join(name);
        fs::write(place("plan.toml"), plan("example.com", "News")).expect("our folder");
        fs::write(place("new.toml"), plan("new.example", "New")).expect("our folder");
        let text = plan("new.example", "New");
        fs::write(place("none.toml"), text.lines().next().expect("a line")).expect("our folder");
        let mut names = "username\n".to_owned();
        for i in 0..users {
            writeln!(names, "more{i}@example.com").expect("a string");
        }
        fs::write(place("names.csv"), names).expect("our folder");
        fs::write(
            place("one.csv"),
            format!("username,hash\none@example.com,{SHA}\n"),
        )
        .expect("our folder");
        for folder in ["passwords", "new", "rotated", "timed"] {
            fs::create_dir(place(folder)).expect("our folder");
        }
        if let Some(database) = &mut sandbox.database {
            database.url = slow.url(&database.url, server.folder());
        }
        Self { sandbox, slow }
    }

    fn round_trips(&self, code: i32, args: &[&str]) -> u64 {
        self.slow.round_trips();
        let run = self.sandbox.run(args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        self.slow.round_trips()
    }
}

/// Returns a delay in which this machine, as busy as it is, makes a few passwords: those are
/// sent together.
fn far(ground: &Ground) -> Duration {
    let began = Instant::now();
    ground.round_trips(0, &["apply", "new.toml", "--yes", "--output-dir", "timed"]);
    let far = began.elapsed() * 4 / u32::try_from(FEW).expect("few");
    ground.round_trips(0, &["apply", "none.toml", "--prune", "--yes"]);
    far.max(FAR)
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn many_users_are_not_asked_for_one_by_one() {
    let server = Postgres::start();
    let [few, many] = [FEW, MANY].map(|users| Ground::new(&server, users));
    let mut grown = String::new();
    let mut grow = |code: i32, args: &[&str]| {
        let [a, b] = [&few, &many].map(|ground| ground.round_trips(code, args));
        let more = (MANY - FEW) as u64;
        println!("{a:4} {b:4} {args:?}");
        if b.saturating_sub(a) > more {
            writeln!(grown, "{a} and {b} for {more} more: {args:?}").expect("a string");
        }
    };
    let import =
        |file, more: &[&'static str]| [&["user", "import", file, "--from", "csv"], more].concat();
    grow(0, &import("users.csv", &["--dry-run"]));
    grow(0, &import("users.csv", &[]));
    grow(0, &import("users.csv", &[]));
    grow(0, &import("labels.csv", &["--update"]));
    let apply = |plan, more: &[&'static str]| [&["apply", plan], more].concat();
    grow(8, &apply("plan.toml", &["--dry-run"]));
    grow(0, &apply("plan.toml", &["--yes"]));
    grow(0, &apply("plan.toml", &["--dry-run"]));
    grow(8, &apply("new.toml", &["--dry-run", "--output-dir", "new"]));
    grow(0, &["user", "list"]);
    grow(0, &["user", "export"]);
    grow(7, &["report"]);
    grow(0, &["store", "maintain"]);
    let far = far(&few);
    for ground in [&few, &many] {
        ground.slow.delay(far);
    }
    let rotate = [
        "user",
        "rotate",
        "--due",
        "--older-than",
        "1s",
        "--write-file",
        "rotated/{username}",
    ];
    grow(0, &rotate);
    grow(0, &apply("new.toml", &["--yes", "--output-dir", "new"]));
    grow(
        0,
        &[
            "user",
            "create",
            "--from",
            "names.csv",
            "--output-dir",
            "passwords",
        ],
    );
    for ground in [&few, &many] {
        ground.slow.delay(Duration::ZERO);
    }
    grow(0, &apply("none.toml", &["--prune", "--yes"]));
    grow(0, &import("one.csv", &["--prune", "--yes"]));
    assert_eq!(grown, "", "a round trip for each user, or more");
}
