//! The figures `smtpcred serve` promises, measured beside what there is:
//! `cargo bench --bench serve`, or some: `cargo bench --bench serve -- auth policy`.
//!
//! Everybody, the load generator too, shares the same two processors, and both
//! sides of a comparison run in turn: what counts is the median of their ratios.
//! Needs dovecot-core, postgresql (as root), python3-venv (3.11 or older) and util-linux; installs
//! policyd-rate-limit from `PyPI`. Exits with 1 if a figure is missed.

mod addresses;
mod auth;
mod database;
mod echo;
mod first;
mod load;
mod memory;
mod ours;
mod peers;
mod policy;
mod remembered;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::process::{Command, ExitCode};

/// Rounds of each comparison, an odd number for the median.
const ROUNDS: usize = 5;

type Figure = (&'static str, fn(&mut Report));

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == first::LOOP) {
        first::hash_and_tell();
        return ExitCode::SUCCESS;
    }
    if args.iter().any(|arg| arg == echo::SERVER) {
        echo::serve();
    }
    let names: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let figures: [Figure; 7] = [
        ("addresses", addresses::measure),
        ("auth", auth::measure),
        ("database", database::measure),
        ("first", first::measure),
        ("policy", policy::measure),
        ("memory", memory::measure),
        ("remembered", remembered::measure),
    ];
    for name in &names {
        let known = figures.iter().any(|(figure, _)| figure == name);
        assert!(known, "no figure is called {name}");
    }
    on_two_processors();
    let mut report = Report { all_met: true };
    print("", "figure", ["ours", "peer", "ratio", "goal"]);
    for (name, measure) in figures {
        if names.is_empty() || names.contains(&&name.to_owned()) {
            measure(&mut report);
        }
    }
    if report.all_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// As on the machine the goals come from; all processes started later too.
fn on_two_processors() {
    let pid = std::process::id().to_string();
    let output = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", "0,1", &pid])
        .output()
        .expect("taskset, of util-linux");
    assert!(output.status.success(), "{output:?}");
}

/// A table that grows by a line with each figure.
struct Report {
    all_met: bool,
}

impl Report {
    /// Rates per second: at least so many times the other's.
    fn rates(&mut self, what: &str, (ours, theirs): (f64, f64), goal: f64) {
        let ratio = ours / theirs;
        let (unit, factor) = if goal < 1.0 { ("%", 100.0) } else { ("x", 1.0) };
        let cells = [
            &format!("{}/s", short(ours)),
            &format!("{}/s", short(theirs)),
            &format!("{}{unit}", short(ratio * factor)),
            &format!(">= {}{unit}", goal * factor),
        ];
        self.judged(what, cells.map(String::as_str), ratio >= goal);
    }

    /// A size in KiB: at most so much. The peer's, if it was looked at, is only
    /// there to compare.
    fn size(&mut self, what: &str, ours: f64, theirs: Option<f64>, goal: f64) {
        let cells = [
            &format!("{} KiB", short(ours)),
            &theirs.map_or_else(|| "-".into(), |kib| format!("{} KiB", short(kib))),
            &theirs.map_or_else(|| "-".into(), |kib| format!("{:.3}x", ours / kib)),
            &format!("<= {}", short(goal)),
        ];
        self.judged(what, cells.map(String::as_str), ours <= goal);
    }

    /// A rate per second: at least so much; the peer's to compare.
    fn rate(&mut self, what: &str, (ours, theirs): (f64, f64), goal: f64) {
        let cells = [
            &format!("{}/s", short(ours)),
            &format!("{}/s", short(theirs)),
            &format!("{:.3}x", ours / theirs),
            &format!(">= {}/s", short(goal)),
        ];
        self.judged(what, cells.map(String::as_str), ours >= goal);
    }

    fn judged(&mut self, what: &str, cells: [&str; 4], met: bool) {
        self.all_met &= met;
        print(if met { "ok" } else { "MISSED" }, what, cells);
    }
}

fn short(number: f64) -> String {
    if number < 100.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

fn print(state: &str, what: &str, [ours, peer, ratio, goal]: [&str; 4]) {
    println!("{state:6} {what:66} {ours:>12} {peer:>12} {ratio:>8} {goal:>9}");
}

/// Both sides, run in turn; which goes first changes with each round. The round
/// whose ratio is the median: what else the machine does comes and goes, and
/// bears on both sides of a round alike.
fn paired(mut one: impl FnMut() -> f64, mut other: impl FnMut() -> f64) -> (f64, f64) {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            let ours = one();
            rounds.push((ours, other()));
        } else {
            let theirs = other();
            rounds.push((one(), theirs));
        }
    }
    rounds.sort_unstable_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)));
    rounds[rounds.len() / 2]
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
