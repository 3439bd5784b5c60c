//! Alerts are sent once by several senders, summed up if they are many, tried again, and arrive by
//! each recipe of the man page.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Sandbox, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A store with users, each with its password in the file `leak` and its number, whose alerts a
/// command appends to the file `got`.
fn recorded(users: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for n in 0..users {
        let password = sandbox.create(&format!("u{n}@example.com"));
        fs::write(sandbox.folder.path().join(format!("leak{n}")), password).unwrap();
    }
    // Whole lines, from several processes at the same time.
    sandbox.noted(&[
        "set-settings",
        "--alert-exec",
        "sh -c 'read -r line && echo \"$line\" >>got'",
    ]);
    sandbox
}

/// Raises an alert about a user.
fn leak(sandbox: &Sandbox, user: usize) {
    let run = sandbox.run(&["scan", &format!("leak{user}")]);
    assert_eq!(run.code, 7, "{}", run.stderr);
}

fn got(sandbox: &Sandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.folder.path().join("got")).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn kinds(documents: &[Value]) -> Vec<&str> {
    documents
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect()
}

/// Ends by a signal, however the test ends.
struct Follower(Child);

impl Follower {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command(&["alert", "send", "--follow"]);
        Self(command.stdout(Stdio::null()).spawn().expect("it runs"))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.0.id().cast_signed());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// What doctor says of alerts, as "ok delivery", and what it found.
fn examined(sandbox: &Sandbox) -> (Vec<String>, String) {
    let args = ["--server", "exim", "--config", "/nowhere", "--port", "9"];
    let run = sandbox.run(&[&["doctor", "--json"], &args[..]].concat());
    let findings: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let alerts = findings.iter().filter(|one| one["area"] == "alerts");
    let states = alerts
        .clone()
        .map(|one| format!("{} {}", text(one, "state"), text(one, "check")));
    let found = alerts.map(|one| text(one, "found") + "\n");
    (states.collect(), found.collect())
}

#[test]
fn doctor_tells_alerts_that_do_not_arrive() {
    let sandbox = Sandbox::new();
    sandbox.create("u0@example.com");
    let says = |states: &[&str], part: &str| {
        let (found, text) = examined(&sandbox);
        assert_eq!(found, states, "{text}");
        assert!(text.contains(part), "{part} is not in:\n{text}");
    };
    says(&["ok destination"], "only listed");
    let command = sandbox.folder.path().join("tell");
    fs::write(&command, "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.noted(&["set-settings", "--alert-exec", command.to_str().unwrap()]);
    let sound = ["ok destination", "ok delivery", "ok sender"];
    says(&sound, "this user can start it");
    sandbox.sql(&format!(
        "INSERT INTO alerts (at, last_at, kind, username, matter, text, more)
            VALUES (unixepoch(), unixepoch(), 'leak', 'u0@example.com', 'a', 'Found.', 0);
        INSERT INTO alert_deliveries (alert, way, tries, next_at)
            SELECT id, 'exec {}', 0, unixepoch() FROM alerts",
        command.display()
    ));
    says(&sound, "nothing waits");
    sandbox.sql("UPDATE alert_deliveries SET next_at = next_at - 400");
    let late = ["ok destination", "ok delivery", "fail sender"];
    says(&late, "1 alert waits since");
    assert_eq!(sandbox.run(&["alert", "send"]).code, 1);
    let failed = ["ok destination", "fail delivery", "ok sender"];
    says(&failed, "exited with 3");
    // It is tried again, whoever has seen it.
    sandbox.noted(&["alert", "ack", "--all"]);
    says(&failed, "1 alert not sent to");
    sandbox.sql("UPDATE alert_deliveries SET next_at = NULL");
    says(&sound, "nothing waits");
    fs::remove_file(&command).unwrap();
    says(
        &["fail destination", "ok delivery", "ok sender"],
        "could not be started",
    );
}

#[test]
fn three_senders_send_each_alert_once() {
    let sandbox = recorded(12);
    let followers = [0; 3].map(|_| Follower::start(&sandbox));
    for n in 0..12 {
        leak(&sandbox, n);
    }
    wait_for("all alerts", || (got(&sandbox).len() >= 12).then_some(()));
    wait_for("all to be marked", || {
        let list = sandbox.json(&["alert", "list"]);
        list.as_array()
            .unwrap()
            .iter()
            .all(|one| one["sent"] == "sent")
            .then_some(())
    });
    drop(followers);
    let all = got(&sandbox);
    let mut names: Vec<_> = all
        .iter()
        .map(|one| one["username"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), all.len()), (12, 12));
    let first = all.iter().find(|one| one["username"] == "u0@example.com");
    let next = "smtpcred user close u0@example.com";
    assert_eq!(first.expect("one about u0")["next"], next);
    // The same within the hour is counted.
    leak(&sandbox, 0);
    sandbox.ok(&["alert", "send"]);
    assert_eq!(got(&sandbox).len(), 12);
    let list = sandbox.json(&["alert", "list"]);
    assert_eq!(
        (&list[11]["more"], &list[11]["username"]),
        (&1.into(), &"u0@example.com".into())
    );
    // Until it was acknowledged.
    sandbox.noted(&["alert", "ack", "1"]);
    assert_eq!(
        sandbox.json(&["alert", "list"]).as_array().unwrap().len(),
        11
    );
    sandbox.noted(&["alert", "ack", "--all"]);
    assert_eq!(
        sandbox.json(&["alert", "list"]).as_array().unwrap().len(),
        0
    );
    assert_eq!(
        sandbox
            .json(&["alert", "list", "--all"])
            .as_array()
            .unwrap()
            .len(),
        12
    );
    let unknown = sandbox.run(&["alert", "ack", "99"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
}

#[test]
fn ten_thousand_alerts_are_summed_up() {
    let sandbox = recorded(0);
    // As ten thousand users would have raised them.
    sandbox.sql(
        "INSERT INTO alerts (at, last_at, kind, matter, text, more)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
        SELECT 1800000000, 1800000000, CASE WHEN i % 2 = 0 THEN 'limit' ELSE 'suspended' END,
            'm' || i, 'It was.', 0 FROM n;
        INSERT INTO alert_deliveries (alert, way, tries, next_at)
        SELECT id, 'exec sh -c ''read -r line && echo \"$line\" >>got''', 0, 1 FROM alerts",
    );
    sandbox.ok(&["alert", "send"]);
    let all = got(&sandbox);
    assert_eq!(all.len(), 21, "{:?}", kinds(&all));
    assert_eq!(all[20]["kind"], "summary");
    assert_eq!(
        all[20]["text"],
        "And 9980 more alerts: 4990 limit, 4990 suspended."
    );
    assert_eq!(all[20]["next"], "smtpcred alert list");
}

#[test]
fn what_was_not_sent_is_tried_again_and_then_given_up() {
    let sandbox = recorded(1);
    let fails = "sh -c 'cat >/dev/null; echo smtpc_\"\"abcdefghijkmnopqrstuvwxyz23456; exit 75'";
    sandbox.noted(&["set-settings", "--alert-exec", fails]);
    leak(&sandbox, 0);
    let run = sandbox.run(&["alert", "send"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("exited with 75: ********"),
        "{}",
        run.stderr
    );
    let waits = "SELECT tries || ' ' || (next_at - CAST(strftime('%s', 'now') AS INTEGER) > 30)
        FROM alert_deliveries";
    assert_eq!(sandbox.texts(waits), ["1 1"]);
    // Nothing is due now.
    sandbox.ok(&["alert", "send"]);
    sandbox.sql("UPDATE alert_deliveries SET next_at = 1, tries = 12");
    assert_eq!(sandbox.run(&["alert", "send"]).code, 1);
    assert_eq!(sandbox.json(&["alert", "list"])[0]["sent"], "failed");
    let test = sandbox.run(&["alert", "test", "--json"]);
    assert_eq!(test.code, 1);
    let said: Value = serde_json::from_str(&test.stdout).unwrap();
    assert_eq!(said[0]["sent"], false);
    sandbox.noted(&["set-settings", "--alert-exec", "none"]);
    let none = sandbox.run(&["alert", "test"]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("--alert-mail"), "{}", none.stderr);
}

/// What a server got: the path and the body.
fn server() -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let path = line.split(' ').nth(1).unwrap().to_owned();
            let mut length = 0;
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).unwrap();
                if header.trim().is_empty() {
                    break;
                }
                let lower = header.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            stream.get_mut().write_all(answer).unwrap();
            if sender
                .send((path, String::from_utf8(body).unwrap()))
                .is_err()
            {
                return;
            }
        }
    });
    (port, requests)
}

/// The scripts of the man page by their heading.
fn recipes() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/smtpcred-alerts.7");
    let page = fs::read_to_string(page).unwrap();
    let parts = page.split(".SS ").skip(1).map(|part| {
        let (heading, rest) = part.split_once('\n').unwrap();
        let script = rest
            .split(".nf\n")
            .nth(1)
            .unwrap()
            .split(".fi\n")
            .next()
            .unwrap();
        (
            heading.to_owned(),
            script.replace("\\-", "-").replace("\\e", "\\"),
        )
    });
    parts.collect()
}

#[test]
#[ignore = "needs curl and jq: run tests/run"]
fn each_recipe_of_the_man_page_works() {
    let (port, requests) = server();
    let sandbox = recorded(1);
    let mut tried = Vec::new();
    let site = regex::Regex::new("https://[^/]*/").unwrap();
    leak(&sandbox, 0);
    for (heading, script) in recipes() {
        let path = sandbox.folder.path().join("recipe");
        let local = format!("http://127.0.0.1:{port}/");
        let script = site.replace(&script, &local);
        let script = script.replace("logger ", "logger -s --no-act --socket-errors=off ");
        fs::write(&path, script.as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let exec = path.display().to_string();
        sandbox.noted(&["set-settings", "--alert-exec", &exec]);
        let test = sandbox.run(&["alert", "test", "--json"]);
        let test: Value = serde_json::from_str(&test.stdout).unwrap();
        assert_eq!(test[0]["sent"], true, "{heading}: {test}");
        let wording = "This is a test: alerts of smtpcred arrive here.";
        if heading.contains("journal") {
            let mut child = Command::new(&path)
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let line = format!("{{\"kind\":\"limit\",\"text\":\"{wording}\"}}\n");
            child
                .stdin
                .take()
                .unwrap()
                .write_all(line.as_bytes())
                .unwrap();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains(&format!("smtpcred-alert: limit: {wording}")),
                "{said}"
            );
            tried.push(heading);
            continue;
        }
        let (path, body) = requests.recv_timeout(PATIENCE).expect(&heading);
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let (wanted, found) = match heading.as_str() {
            "ntfy" => ("/mail", Value::from(body.trim())),
            "Slack" => ("/services/T000/B000/XXXX", json["text"].clone()),
            "Mattermost" => ("/hooks/xxxx", json["text"].clone()),
            "Alertmanager" => ("/api/v2/alerts", json[0]["annotations"]["summary"].clone()),
            "Telegram" => ("/botTOKEN/sendMessage", json["text"].clone()),
            other => panic!("{other} is not checked"),
        };
        assert_eq!(
            (path.as_str(), found),
            (wanted, wording.into()),
            "{heading}"
        );
        tried.push(heading);
    }
    assert_eq!(tried.len(), 6, "{tried:?}");
}
