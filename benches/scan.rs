//! `smtpcred scan` beside ripgrep on the same tree: `cargo bench --bench scan -- FOLDER`, or
//! without a folder on the sources and dependencies of this build. Both search all files, also
//! hidden, ignored and binary ones, five times in turn; the best of each counts. Exits with 1 if
//! scan has less than half of ripgrep's speed, or needs more memory than 64 MB.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

const ROUNDS: usize = 5;
const MOST_MEMORY: i64 = 64 * 1024;
const PATTERN: &str = "smtpc_[2-9A-HJ-NP-Za-km-z]{30}";

fn time(mut command: Command) -> Duration {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = Instant::now();
    let ran = command.status();
    let took = began.elapsed();
    if let Err(error) = ran {
        println!("{command:?}: {error}");
    }
    took
}

fn main() -> ExitCode {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/target/debug/deps");
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let folder = given.as_deref().unwrap_or(usual);
    let scan = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtpcred"));
        command
            .args(["scan", "--quiet", folder])
            .env("HOME", "/nonexistent");
        command.env_remove("SMTPCRED_STORE");
        command
    };
    let ripgrep = || {
        let mut command = Command::new("rg");
        command.args(["-uuu", "--text", "--count", PATTERN, folder]);
        command
    };
    if !Path::new(folder).exists() {
        println!("{folder} does not exist");
        return ExitCode::FAILURE;
    }
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        best[0] = best[0].min(time(scan()));
        if best[0] == Duration::MAX {
            return ExitCode::FAILURE;
        }
    }
    // Of the largest child so far, which is scan.
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss());
    for _ in 0..ROUNDS {
        best[1] = best[1].min(time(ripgrep()));
    }
    let [scan, ripgrep] = best.map(|best| best.as_secs_f64());
    println!(
        "scan {scan:.3} s, ripgrep {ripgrep:.3} s: {:.2} of its speed; {memory} KiB",
        ripgrep / scan
    );
    if ripgrep / scan < 0.5 || memory > MOST_MEMORY {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
