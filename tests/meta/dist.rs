//! What is shipped beside the program, tried with the programs it is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, finished};

fn dist(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("dist")
        .join(path)
}

/// How many lines of a log the filter counts, and whom it finds.
fn banned(log: &str) -> (usize, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, log).unwrap();
    // Where it is installed, it finds what all filters share beside it.
    let filter = folder.path().join("smtpcred.conf");
    fs::copy(dist("fail2ban/filter.conf"), &filter).unwrap();
    fs::copy(
        "/etc/fail2ban/filter.d/common.conf",
        folder.path().join("common.conf"),
    )
    .expect("fail2ban: run tests/run");
    let run = finished(
        Command::new("fail2ban-regex")
            .args(["--print-all-matched", "--verbose"])
            .arg(&path)
            .arg(&filter)
            .output()
            .expect("fail2ban-regex: run tests/run"),
    );
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let matched = run
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("Lines: "))
        .and_then(|line| {
            line.split(", ")
                .find_map(|part| part.strip_suffix(" matched"))
        })
        .expect("a number of lines");
    (matched.parse().unwrap(), run.stdout)
}

#[test]
#[ignore = "needs fail2ban: run tests/run"]
fn the_fail2ban_filter_counts_guesses_and_nothing_else() {
    let at = "2026-11-20T23:11:49+00:00 relay smtpcred[4711]: ";
    let counted = [
        "sign-in refused: address=203.0.113.9 reason=wrong-password user=shop@example.com",
        "sign-in refused: address=203.0.113.9 reason=unknown-user user=(hidden:0a1b2c3d)",
        "sign-in refused: address=203.0.113.9 reason=mistyped user=shop@example.com",
        "sign-in refused: address=2001:db8::7 reason=wrong-password user=shop@example.com",
    ];
    let ignored = [
        "sign-in refused: address=203.0.113.9 reason=old-password user=shop@example.com",
        "sign-in refused: address=203.0.113.9 reason=suspended user=shop@example.com",
        "sign-in refused: address=unknown reason=wrong-password user=shop@example.com",
        "sending refused: address=203.0.113.9 user='shop@example.com' sender='x': no",
        "ready: /run/smtpcred/auth",
        // A name that would like to be an address.
        r"sign-in refused: address=unknown reason=malformed user=sign-in refused: address=198.51.100.1 reason=wrong-password user=x",
    ];
    let log = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| format!("{at}{line}")).collect();
        lines.join("\n") + "\n"
    };
    let (matched, said) = banned(&log(&counted));
    assert_eq!(matched, counted.len(), "{said}");
    for address in ["203.0.113.9", "2001:db8::7"] {
        assert!(said.contains(address), "{said}");
    }
    let (matched, said) = banned(&log(&ignored));
    assert_eq!(matched, 0, "{said}");
    assert!(!said.contains("198.51.100.1  "), "{said}");
}

#[test]
#[ignore = "needs systemd: run tests/run"]
fn the_services_are_shut_in() {
    // In tenths, as far as it goes today: above that it fails. A report goes to port 25, and a
    // rotation runs commands that are not known here.
    for (unit, most) in [
        ("smtpcred", 5),
        ("smtpcred-maintain", 5),
        ("smtpcred-backup", 5),
        ("smtpcred-report", 11),
        ("smtpcred-messages", 7),
        ("smtpcred-rotate", 20),
    ] {
        let unit = dist("systemd").join(format!("{unit}.service"));
        let run = finished(
            Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager"])
                .arg(format!("--threshold={most}"))
                .arg(&unit)
                .output()
                .expect("systemd-analyze: run tests/run"),
        );
        assert_eq!(run.code, 0, "{}", run.stdout);
        assert!(
            run.stdout.contains("Overall exposure level"),
            "{}",
            run.stdout
        );
        let text = fs::read_to_string(&unit).unwrap();
        for line in ["MemorySwapMax=0", "NoNewPrivileges=yes", "LimitCORE=0"] {
            assert!(
                text.lines().any(|one| one == line),
                "{line}: {}",
                unit.display()
            );
        }
    }
}

#[test]
#[ignore = "needs systemd: run tests/run"]
fn systemd_understands_the_rest() {
    // Under the names they are installed by, and a program that is there.
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "smtpcred.service",
        "smtpcred-auth.socket",
        "smtpcred-policy.socket",
        "smtpcred-rotate.service",
        "smtpcred-rotate.timer",
        "smtpcred-maintain.service",
        "smtpcred-maintain.timer",
        "smtpcred-alerts.service",
        "smtpcred-messages.service",
        "smtpcred-backup.service",
        "smtpcred-backup.timer",
        "smtpcred-report.service",
        "smtpcred-report.timer",
    ] {
        let unit = fs::read_to_string(dist("systemd").join(name)).unwrap();
        let unit = unit.replace("/usr/local/bin/smtpcred", support::PROGRAM);
        // A man page that is not installed here is no fault.
        let unit: Vec<_> = unit
            .lines()
            .filter(|line| !line.starts_with("Documentation="))
            .collect();
        fs::write(folder.path().join(name), unit.join("\n")).unwrap();
    }
    let drop_ins = folder.path().join("smtpcred-rotate.service.d");
    fs::create_dir(&drop_ins).unwrap();
    let mut examples = 0;
    for example in fs::read_dir(dist("drop-ins")).unwrap() {
        let example = example.unwrap();
        fs::copy(example.path(), drop_ins.join(example.file_name())).unwrap();
        examples += 1;
    }
    assert_eq!(examples, 3);
    let run = finished(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(
                [
                    "smtpcred.service",
                    "smtpcred-rotate.timer",
                    "smtpcred-rotate.service",
                    "smtpcred-maintain.timer",
                    "smtpcred-maintain.service",
                    "smtpcred-alerts.service",
                    "smtpcred-messages.service",
                    "smtpcred-backup.timer",
                    "smtpcred-backup.service",
                    "smtpcred-report.timer",
                    "smtpcred-report.service",
                ]
                .map(|name| folder.path().join(name)),
            )
            .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
            .output()
            .expect("systemd-analyze: run tests/run"),
    );
    let about_us: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| line.contains("smtpcred"))
        .collect();
    assert!(about_us.is_empty() && run.code == 0, "{}", run.stderr);

    for (program, arg, file) in [
        ("systemd-sysusers", "--dry-run", "sysusers.d/smtpcred.conf"),
        (
            "systemd-tmpfiles",
            "--cat-config",
            "tmpfiles.d/smtpcred.conf",
        ),
    ] {
        let run = finished(
            Command::new(program)
                .arg(arg)
                .arg(dist(file))
                .output()
                .unwrap(),
        );
        assert_eq!(run.code, 0, "{program}: {}", run.stderr);
    }
}

fn promtool(args: &[&str], file: &Path) -> support::Run {
    let run = Command::new("promtool").args(args).arg(file).output();
    finished(run.expect("prometheus: run tests/run"))
}

#[test]
#[ignore = "needs Prometheus: run tests/run"]
fn the_alert_rules_are_valid_and_each_is_raised_by_its_cause() {
    let rules = dist("prometheus/smtpcred.rules.yml");
    let checked = promtool(&["check", "rules"], &rules);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let tests =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/prometheus/rules.test.yml");
    let text = fs::read_to_string(tests).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("rules.test.yml");
    fs::write(&here, text.replace("RULES", rules.to_str().unwrap())).unwrap();
    let tested = promtool(&["test", "rules"], &here);
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
}

/// All expressions of a dashboard, as Grafana fills them in.
fn expressions(dashboard: &serde_json::Value, found: &mut Vec<String>) {
    match dashboard {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" => found.push(
                        text.replace("$__rate_interval", "5m")
                            .replace("$instance", ".*"),
                    ),
                    _ => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => {
            for value in values {
                expressions(value, found);
            }
        }
        _ => {}
    }
}

#[test]
#[ignore = "needs Prometheus: run tests/run"]
fn the_dashboard_asks_what_prometheus_understands_and_knows() {
    let text = fs::read_to_string(dist("grafana/smtpcred.json")).unwrap();
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&text).unwrap(), &mut found);
    assert!(found.len() > 15, "{found:?}");
    let rule = |(n, expr): (usize, &String)| {
        format!(
            "  - {{record: 'r{n}', expr: {}}}\n",
            serde_json::json!(expr)
        )
    };
    let rules: String = found.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, format!("groups:\n- name: x\n  rules:\n{rules}")).unwrap();
    let checked = promtool(&["check", "rules"], &file);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    // Each name is one that the program prints.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut printed = String::new();
    for file in [
        "app/metrics/mod.rs",
        "app/metrics/relay.rs",
        "app/metrics/store.rs",
        "cli/status/metrics.rs",
    ] {
        printed += &fs::read_to_string(source.join(file)).unwrap();
    }
    let rules = fs::read_to_string(dist("prometheus/smtpcred.rules.yml")).unwrap();
    let name = regex::Regex::new(r"\bsmtpcred_[a-z_]+[a-z]").unwrap();
    let all = found.join("\n") + &rules;
    let mut names: Vec<_> = name.find_iter(&all).map(|one| one.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let ends = ["_total", "_bucket", "_count", "_sum"];
        let base = ends
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(printed.contains(&format!("\"{base}\"")), "{name}");
    }
}
