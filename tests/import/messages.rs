//! Recordings of real servers, read by `messages read`, and what `messages list` says of them.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::mail_logs::{begin, cases, expected, recording};
use crate::support::Sandbox;

/// Keeps messages of the users in the recordings.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for user in ["alice@example.com", "bob@example.com"] {
        sandbox.noted(&["user", "create", user, "--add-domain", "--output", user]);
    }
    // The recordings get older.
    sandbox.noted(&["set-settings", "--keep-messages", "90y"]);
    sandbox
}

fn messages_folder(sandbox: &Sandbox) -> PathBuf {
    let store = sandbox.store();
    let stem = store.file_stem().unwrap().to_str().unwrap();
    store.with_file_name(format!("{stem}-messages"))
}

fn write_log(sandbox: &Sandbox, name: &str, log: &[u8]) -> String {
    let path = sandbox.folder.path().join(name);
    fs::write(&path, log).unwrap();
    path.display().to_string()
}

/// As `expected.tsv` has them.
fn rows(listed: &Value) -> Vec<String> {
    let text = |value: &Value, none: &str| value.as_str().unwrap_or(none).to_owned();
    let mut rows = Vec::new();
    for message in listed.as_array().unwrap() {
        for recipient in message["recipients"].as_array().unwrap() {
            let address = text(&recipient["address"], "?");
            let name = match recipient["original"].as_str() {
                Some(original) => format!("{original} -> {address}"),
                None => address,
            };
            rows.push(format!(
                "{}\t{name}\t{}\t{}\t{}",
                text(&message["sender"], "?"),
                text(&recipient["state"], ""),
                text(&recipient["dsn"], ""),
                begin(&text(&recipient["reply"], ""))
            ));
        }
    }
    rows.sort();
    rows
}

#[test]
fn each_recording_is_listed_as_it_ended_and_read_again_changes_nothing() {
    let sandbox = sandbox();
    for case in cases() {
        let log = write_log(&sandbox, &case, &recording(&format!("{case}.log")));
        let summary = sandbox.json(&["messages", "read", &log]);
        assert_eq!(summary["changed"], 0, "{case}");
        let listed = sandbox.json(&["messages", "list"]);
        assert_eq!(rows(&listed), expected(&case), "{case}");
        assert_eq!(summary["new"], listed.as_array().unwrap().len(), "{case}");
        let again = sandbox.json(&["messages", "read", &log, &log]);
        assert_eq!(
            (&again["new"], &again["changed"]),
            (&0.into(), &0.into()),
            "{case}"
        );
        assert_eq!(sandbox.json(&["messages", "list"]), listed, "{case}");

        fs::remove_dir_all(messages_folder(&sandbox)).unwrap();
        sandbox.noted(&["set-settings", "--keep-messages", "90y"]);
    }
}

#[test]
fn logs_are_read_in_the_order_of_their_times_also_one_by_one() {
    let sandbox = sandbox();
    let log = recording("p03-deferred-then-sent.log");
    let whole = write_log(&sandbox, "whole.log", &log);
    sandbox.noted(&["messages", "read", &whole]);
    let listed = sandbox.json(&["messages", "list"]);
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    // The second part begins in a later second.
    let (first, second) = lines.split_at(lines.len() / 2 + 1);
    let mut packed = flate2_of(&first.concat());
    let first = write_log(&sandbox, "mail.log.2.gz", &packed);
    packed.truncate(packed.len() / 2);
    let second = write_log(&sandbox, "mail.log", &second.concat());
    for runs in [
        vec![vec![&second, &first]],
        vec![vec![&first], vec![&second]],
    ] {
        fs::remove_dir_all(messages_folder(&sandbox)).unwrap();
        sandbox.noted(&["set-settings", "--keep-messages", "90y"]);
        for files in runs {
            let mut args = vec!["messages", "read"];
            args.extend(files.iter().map(|file| file.as_str()));
            sandbox.noted(&args);
        }
        assert_eq!(sandbox.json(&["messages", "list"]), listed);
    }
    // An older part alone takes nothing back.
    sandbox.noted(&["messages", "read", &first]);
    assert_eq!(sandbox.json(&["messages", "list"]), listed);
    let cut = write_log(&sandbox, "cut.gz", &packed);
    let run = sandbox.run(&["messages", "read", &cut, &second]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("cut.gz cannot be read"),
        "{}",
        run.stderr
    );
    assert_eq!(sandbox.json(&["messages", "list"]), listed);
}

fn flate2_of(bytes: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(bytes).expect("gzip reads");
    drop(stdin);
    child.wait_with_output().expect("gzip ends").stdout
}

#[test]
fn recipients_are_kept_as_the_settings_say() {
    let sandbox = sandbox();
    let names = [
        "p02-mixed",
        "p04-hostile-replies",
        "x03-hostile-replies",
        "p11-virtual-alias",
    ];
    let logs = names.map(|name| write_log(&sandbox, name, &recording(&format!("{name}.log"))));
    let read = [
        &["messages", "read"],
        &logs.each_ref().map(String::as_str)[..],
    ]
    .concat();
    sandbox.noted(&read);
    let addresses = |listed: &Value| -> Vec<(String, String)> {
        let all = listed.as_array().unwrap().iter();
        let settled = all.filter(|message| message["settled"] == true);
        let recipients = settled.flat_map(|message| message["recipients"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let found = recipients.map(|one| (text(&one["address"]), text(&one["reply"])));
        found.collect()
    };
    let whole = addresses(&sandbox.json(&["messages", "list"]));
    assert!(whole.len() > 10);
    for kept in ["domain", "none"] {
        fs::remove_dir_all(messages_folder(&sandbox)).unwrap();
        let keep = ["--keep-messages", "90y", "--keep-recipients", kept];
        sandbox.noted(&[&["set-settings"], &keep[..]].concat());
        sandbox.noted(&read);
        let cut = addresses(&sandbox.json(&["messages", "list"]));
        assert_eq!(cut.len(), whole.len());
        for ((address, reply), (was, said)) in cut.iter().zip(&whole) {
            let domain = was.rsplit_once('@').map(|(_, domain)| format!("@{domain}"));
            let wanted = domain.filter(|_| kept == "domain").unwrap_or_default();
            assert_eq!(*address, wanted, "{was}");
            assert!(was.is_empty() || !reply.contains(was.as_str()), "{reply}");
            assert_eq!(reply.is_empty(), said.is_empty());
        }
    }
}

#[test]
fn p4_messages_that_cannot_be_read_are_not_none() {
    let sandbox = sandbox();
    let folder = messages_folder(&sandbox);
    let refused = |code: &str| {
        for args in [["messages", "list"], ["messages", "show"]] {
            let show = ["ABC", "--json"];
            let more = if args[1] == "show" {
                &show[..]
            } else {
                &show[1..]
            };
            let run = sandbox.run(&[&args[..], more].concat());
            assert_eq!((run.code, run.stdout.as_str()), (75, ""), "{}", run.stderr);
            assert!(run.stderr.contains(code), "{}", run.stderr);
        }
    };
    assert_eq!(
        sandbox.json(&["messages", "list"]),
        Value::Array(Vec::new())
    );
    let file = folder.join("messages.db");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refused("messages_unreadable");
    fs::write(&file, b"something else").unwrap();
    refused("messages_unreadable");
    fs::remove_file(&file).unwrap();
    refused("messages_missing");
    // The rest of the maintenance is done.
    let run = sandbox.run(&["store", "maintain", "--format", "csv"]);
    assert_eq!(run.code, 75);
    assert!(run.stdout.contains("\nstatistics,"), "{}", run.stdout);
    sandbox.noted(&["set-settings", "--keep-messages", "90y"]);
    assert_eq!(
        sandbox.json(&["messages", "list"]),
        Value::Array(Vec::new())
    );
}
