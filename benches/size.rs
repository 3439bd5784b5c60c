//! Runs every command with any number of users, beside a running `smtpcred serve`:
//! `cargo bench --bench size -- 10000`, or `-- 1000000 history`, in a file; followed by the
//! URL of an empty database, in PostgreSQL. `-- in PATH|URL` uses an existing store, which
//! must have the user `known@example.com`. Does not need root.
//!
//! Measures for each command its time, processor time and peak memory, and how long others
//! waited for the lock of the store; for the relay, how long sign-ins took, and how many
//! messages of a limited user were deferred. Exits with 1 if a bound is exceeded.

#[path = "size/beside.rs"]
mod beside;
#[path = "support/history.rs"]
mod history;

use std::fs;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use beside::Beside;
use history::{Size, Target, fill};

/// The program to measure instead of the built one, if it is set.
const PROGRAM: &str = "SMTPCRED_PROGRAM";
const KNOWN: &str = "known@example.com";
const PASSWORD: &str = "vague-Otter-61-h";
/// The memory of Argon2, for a command that hashes.
const SLOT: u64 = 19 * 1024;

const NOTHING: &[&str] = &["(nothing, for 5 s)"];
const EXPORT: &[&str] = &["user", "export", "--output", "FILE/users.csv"];

/// The bounds.
const MEMORY: u64 = 16 * 1024;
const MAINTAIN_LOCK: Duration = Duration::from_millis(50);
const LOCK: Duration = Duration::from_millis(200);
const SIGN_IN: Duration = Duration::from_millis(5);

/// The commands of the README; FILE is the folder of the bench.
const COMMANDS: &[&[&str]] = &[
    // A baseline of this machine.
    NOTHING,
    &["user", "list"],
    &["user", "list", "--json"],
    &["user", "list", "--domain", "domain-0.example"],
    &["user", "list", "--stale", "90d"],
    &["user", "list", "--never-used", "--format", "csv"],
    &["user", "list", "--overlap"],
    &["user", "show", KNOWN],
    &["domain", "list"],
    &["domain", "show", "domain-0.example"],
    &["status"],
    &["report"],
    &["report", "--json"],
    &["report", "--overlaps"],
    &["report", "--monitor"],
    &["usage"],
    &["usage", "--by", "domain"],
    &["usage", "--by", "day"],
    &["audit", "list", "--limit", "20"],
    &["audit", "list", "--user", KNOWN],
    &["audit", "list", "--domain", "domain-0.example"],
    &["audit", "list", "--json"],
    &["audit", "failures"],
    &["why", KNOWN],
    &["show-settings", KNOWN],
    &["verify", KNOWN],
    &["doctor"],
    &["doctor", "--full"],
    &["user", "create", "new@example.com", "--output", "FILE/new"],
    &["user", "reset", "new@example.com", "--output", "FILE/reset"],
    &["user", "suspend", "new@example.com"],
    &["user", "resume", "new@example.com"],
    &["user", "set", "new@example.com", "--label", "New"],
    &["user", "delete", "new@example.com", "--yes"],
    EXPORT,
    &[
        "user",
        "import",
        "FILE/names.csv",
        "--from",
        "csv",
        "--dry-run",
        "--quiet",
    ],
    &[
        "user",
        "import",
        "FILE/names.csv",
        "--from",
        "csv",
        "--update",
        "--quiet",
    ],
    &["user", "rotate", "--due", "--older-than", "1d", "--dry-run"],
    &["apply", "FILE/plan.toml", "--dry-run"],
    &["store", "status"],
    &["store", "maintain"],
    &["store", "copy", "STORE", "FILE/copy.db"],
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let args: Vec<&str> = args
        .into_iter()
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("smtpcred");
    let built = env!("CARGO_BIN_EXE_smtpcred").into();
    let measured = std::env::var_os(PROGRAM).unwrap_or(built);
    fs::copy(measured, &program).expect("a copy of the program");
    let file = folder.path().join("store.db").display().to_string();
    let bench = |store: &str| Bench {
        program: program.clone(),
        folder: folder.path().to_owned(),
        store: store.to_owned(),
    };
    let bench = match args[..] {
        ["in", store] => bench(store),
        [users, ref more @ ..] => {
            let bench = bench(
                more.last()
                    .filter(|last| last.contains("://"))
                    .unwrap_or(&&*file),
            );
            let users = users.parse().expect("a number of users");
            bench.fill(users, more.contains(&"history"));
            bench
        }
        [] => bench(&file).filled(10_000),
    };
    bench.measure_all()
}

struct Bench {
    program: PathBuf,
    folder: PathBuf,
    store: String,
}

impl Bench {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("SMTPCRED_STORE", &self.store);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        command
    }

    fn filled(self, users: u32) -> Self {
        self.fill(users, false);
        self
    }

    /// Creates a user with a limit, and the others without the program.
    fn fill(&self, users: u32, with_history: bool) {
        let begun = self.command(&["store", "init"]).status();
        assert!(begun.expect("it runs").success());
        let target = if self.store.contains("://") {
            Target::Postgres(&self.store)
        } else {
            Target::Sqlite(Path::new(&self.store))
        };
        let large = Size::LARGE;
        let size = Size {
            users,
            domains: users.div_ceil(100),
            events: if with_history { large.events } else { 0 },
            days: if with_history { large.days } else { 0 },
            senders: if with_history {
                users.min(large.senders)
            } else {
                0
            },
        };
        fill(&target, size);
        let made = self.command(&["user", "create", KNOWN, "--add-domain", "--daily-limit"]);
        let made = given_password(made, &["1000000", "--password-stdin"]);
        assert!(made.wait_with_output().expect("it ends").status.success());
    }

    fn measure_all(&self) -> ExitCode {
        let plan = "[users.\"known@example.com\"]\nlabel = \"Known\"\n";
        fs::write(self.folder.join("plan.toml"), plan).expect("our folder");
        let beside = Beside::start(self);
        let mut met = true;
        println!(
            "{:7}{:58}{:>9}{:>9}{:>8}{:>8}{:>9}{:>9}{:>8}",
            "", "command", "seconds", "cpu", "MiB", "exit", "lock ms", "p99 ms", "451"
        );
        for args in COMMANDS {
            met &= self.measure(args, &beside);
        }
        if met {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Writes the exported users without their IDs, which the generator made up.
    fn write_names(&self) {
        let users = fs::File::open(self.folder.join("users.csv")).expect("it was written");
        let names = fs::File::create(self.folder.join("names.csv")).expect("our folder");
        let mut names = BufWriter::new(names);
        for line in BufReader::new(users).lines() {
            let line = line.expect("text");
            let columns: Vec<&str> = line.split(',').take(2).collect();
            writeln!(names, "{}", columns.join(",")).expect("our folder");
        }
    }

    fn measure(&self, args: &[&str], beside: &Beside) -> bool {
        let folder = self.folder.display().to_string();
        let given: Vec<String> = args
            .iter()
            .map(|arg| arg.replace("FILE", &folder).replace("STORE", &self.store))
            .collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        beside.begin();
        let (cpu, began) = (processor_time(), Instant::now());
        let (child, hashes) = match args {
            NOTHING => {
                let mut sleep = Command::new("sleep");
                (sleep.arg("5").spawn().expect("it runs"), false)
            }
            ["verify", ..] => (given_password(self.command(&given), &[]), true),
            ["user", "create" | "reset", ..] | ["doctor", ..] => {
                (self.command(&given).spawn().expect("it runs"), true)
            }
            _ => (self.command(&given).spawn().expect("it runs"), false),
        };
        let (exit, peak) = ended(child);
        let took = began.elapsed();
        let cpu = processor_time().saturating_sub(cpu);
        let seen = beside.end();
        if args == EXPORT {
            self.write_names();
        }
        let bound = if args == ["store", "maintain"] {
            MAINTAIN_LOCK
        } else {
            LOCK
        };
        let most = if hashes { MEMORY + SLOT } else { MEMORY };
        // A short command sees too few sign-ins to judge.
        let slow = seen.sign_ins >= 100 && seen.p99 > SIGN_IN;
        let silent = seen.sign_ins == 0 && took > Duration::from_secs(1);
        let met = peak <= most && !silent && seen.lock <= bound && !slow && seen.put_off == 0;
        println!(
            "{:7}{:58}{:9.2}{:9.2}{:8.1}{exit:8}{:9.1}{:9.2}{:8}",
            if met { "ok" } else { "MISSED" },
            args.join(" "),
            took.as_secs_f64(),
            cpu.as_secs_f64(),
            mib(peak),
            ms(seen.lock),
            ms(seen.p99),
            seen.put_off,
        );
        met
    }
}

fn given_password(mut command: Command, more: &[&str]) -> Child {
    let mut child = command
        .args(more)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(PASSWORD.as_bytes()).expect("it reads");
    child
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Returns the exit code, and the peak memory in KiB.
fn ended(mut child: Child) -> (i32, u64) {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = kib.and_then(|rest| rest.trim().strip_suffix(" kB")) {
            peak = peak.max(kib.parse().expect("a number"));
        }
        if let Some(ended) = child.try_wait().expect("our child") {
            return (ended.code().unwrap_or(-1), peak);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The processor time of all commands that have ended: proc(5), in hundredths of a second.
fn processor_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux's /proc");
    let (_, rest) = text.rsplit_once(')').expect("its name");
    let fields = rest.split_whitespace().skip(13).take(2);
    let ticks: u64 = fields
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}
