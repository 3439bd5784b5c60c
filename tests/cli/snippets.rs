//! `show-settings NAME --for CLIENT`: each snippet is run by its real client, as it
//! is printed, against Postfix with `smtpcred serve` behind it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::mail::tls::{Certificate, HOST};
use crate::support::world::{EDGES, OTHER_HOST, STRIPPED, USER, World};
use crate::support::{Sandbox, clients, world};

/// These go on without TLS where STARTTLS is kept from them: by themselves they get
/// port 465, and with STARTTLS their text says so.
const OPPORTUNISTIC: [&str; 5] = ["env", "gitlab", "laravel", "nextcloud", "symfony-mailer"];

/// Sends by both ways of encryption; and by none to a server that is not who it
/// says, has another name, or keeps STARTTLS away.
fn check(world: &World, clients: &[&str]) {
    let once = |what: &str, client: &str, port| {
        let home = world.home(&format!("{client}-{what}-{port}"));
        let to = format!("{client}.{what}.{port}@elsewhere.test");
        let snippet = world.snippet(client, port);
        (clients::send(world, client, &home, &snippet, &to), to)
    };
    for port in [587, 465] {
        for client in clients {
            let (run, to) = once("good", client, port);
            world.arrived(&to, &run);
        }
        world.sandbox.noted(&["set-settings", "--host", OTHER_HOST]);
        // Debian's swaks does not look at the name, which its text says.
        for client in clients.iter().filter(|client| **client != "swaks") {
            let (run, to) = once("name", client, port);
            world.refused("another name", &to, &run);
        }
        world.sandbox.noted(&["set-settings", "--host", HOST]);
    }
    world.reset(EDGES);
    for client in clients {
        let (run, to) = once("edges", client, 465);
        world.arrived(&to, &run);
    }
    let told = world::stripper();
    for client in clients
        .iter()
        .filter(|client| !OPPORTUNISTIC.contains(client))
    {
        let (run, to) = once("stripped", client, STRIPPED);
        world.refused("no STARTTLS", &to, &run);
        let told = std::mem::take(&mut *told.lock().unwrap());
        let secret = |line: &String| line.starts_with("AUTH") || line.starts_with("MAIL");
        assert!(
            !told.is_empty() && !told.iter().any(secret),
            "{client}: {told:?}"
        );
    }
    let strange = world.home("strange");
    world::trust(&Certificate::new(&strange));
    for port in [587, 465] {
        for client in clients {
            let (run, to) = once("strange", client, port);
            world.refused("a strange certificate", &to, &run);
        }
    }
}

#[test]
#[ignore = "needs root, Postfix, PHP and its mailers: run tests/run"]
fn php_sends() {
    const CLIENTS: [&str; 5] = [
        "laravel",
        "nextcloud",
        "phpmailer",
        "symfony-mailer",
        "wordpress",
    ];
    world::world(|world| check(world, &CLIENTS));
}

#[test]
#[ignore = "needs root, Postfix, Python, Django and Flask-Mail: run tests/run"]
fn python_sends() {
    world::world(|world| check(world, &["python", "django", "flask-mail"]));
}

#[test]
#[ignore = "needs root, Postfix, Node.js and Nodemailer: run tests/run"]
fn node_sends() {
    world::world(|world| check(world, &["nodemailer", "json", "env"]));
}

#[test]
#[ignore = "needs root, Postfix, Ruby and Action Mailer: run tests/run"]
fn ruby_sends() {
    world::world(|world| check(world, &["rails", "gitlab"]));
}

#[test]
#[ignore = "needs root, Postfix, Go, Java and rustc: run tests/run"]
fn compiled_programs_send() {
    world::world(|world| check(world, &["go", "java", "rust"]));
}

#[test]
#[ignore = "needs root, Postfix, msmtp, swaks, curl and git: run tests/run"]
fn tools_send() {
    const CLIENTS: [&str; 5] = ["curl", "git-send-email", "msmtp", "sendmail", "swaks"];
    world::world(|world| check(world, &CLIENTS));
}

#[test]
#[ignore = "needs root, Postfix and Exim: run tests/run"]
fn other_mail_servers_send() {
    world::world(|world| check(world, &["postfix", "exim"]));
}

#[test]
#[ignore = "needs root, Postfix, the tools and strace: run tests/run"]
fn no_password_is_on_a_command_line() {
    world::world(|world| {
        world.traced.set(true);
        for client in [
            "curl",
            "env",
            "git-send-email",
            "msmtp",
            "postfix",
            "sendmail",
            "swaks",
        ] {
            let home = world.home(&format!("traced-{client}"));
            let to = format!("{client}@elsewhere.test");
            let run = clients::send(world, client, &home, &world.snippet(client, 465), &to);
            world.arrived(&to, &run);
            let trace = fs::read_to_string(home.join("trace")).unwrap();
            assert!(trace.contains("execve("), "{client}: {trace}");
            // As it is, quoted, and percent-encoded.
            for part in ["a/b+c", "a%2Fb", "%61%2f%62"] {
                assert!(!trace.contains(part), "{client}: {trace}");
            }
        }
    });
}

/// A store with the user, whose relay is mail.test.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    sandbox.noted(&["set-settings", "--host", HOST]);
    sandbox
}

fn snippet(sandbox: &Sandbox, client: &str, port: &str) -> String {
    sandbox.ok(&["show-settings", USER, "--for", client, "--port", port])
}

fn clients_listed(sandbox: &Sandbox) -> Vec<Value> {
    let list = sandbox.json(&["show-settings", "--for", "list"]);
    list.as_array().unwrap().clone()
}

#[test]
fn the_list_has_every_file_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/snippets");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".txt").map(str::to_owned)
        })
        .collect();
    files.sort();
    // No store is needed for it.
    let listed: Vec<Value> = clients_listed(&Sandbox::empty());
    let names: Vec<&str> = listed
        .iter()
        .map(|c| c["client"].as_str().unwrap())
        .collect();
    assert_eq!(names, files);
    assert!(names.len() >= 26, "{names:?}");
    for client in &listed {
        assert!(client["title"].as_str().unwrap().len() > 3, "{client}");
    }
}

#[test]
fn every_template_is_filled_in() {
    let sandbox = sandbox();
    for client in clients_listed(&sandbox) {
        let name = client["client"].as_str().unwrap();
        for (port, other) in [("587", "465"), ("465", "587"), ("2525", "465")] {
            let text = snippet(&sandbox, name, port);
            assert!(text.contains(HOST) && text.contains(port), "{name}: {text}");
            let (_, unquoted) = USER.split_once('\'').unwrap();
            let named = text.contains(unquoted) || ["nextcloud", "exim"].contains(&name);
            assert!(named, "{name}: {text}");
            assert!(
                !text.contains("{{") && !text.contains("@starttls"),
                "{name}: {text}"
            );
            assert!(!text.contains("\n@tls"), "{name}: {text}");
            // From the environment, from a file, or typed.
            let sources = [
                "SMTP_PASSWORD",
                "smtp.password",
                "msmtp.password",
                "is asked for",
            ];
            assert!(
                sources.iter().any(|source| text.contains(source)),
                "{name}: {text}"
            );
            let settles = text.contains(other) && !OPPORTUNISTIC.contains(&name);
            assert!(!settles, "{name} has two ports: {text}");
        }
    }
}

#[test]
fn who_cannot_insist_on_starttls_gets_the_other_port_or_is_told() {
    let sandbox = sandbox();
    for client in clients_listed(&sandbox) {
        let name = client["client"].as_str().unwrap();
        let port = &sandbox.json(&["show-settings", USER, "--for", name])["port"];
        let cannot = OPPORTUNISTIC.contains(&name);
        assert_eq!(port, if cannot { 465 } else { 587 }, "{name}");
        let says = snippet(&sandbox, name, "587").contains("STARTTLS is kept from");
        assert_eq!(says, cannot, "{name}");
    }
    sandbox.noted(&["set-settings", "--ports", "2525"]);
    let record = sandbox.json(&["show-settings", USER, "--for", "laravel"]);
    assert_eq!(
        (&record["port"], &record["encryption"]),
        (&2525.into(), &"starttls".into())
    );
}

/// What no package has here is at least what its own parser, or one of its kind,
/// understands.
#[test]
#[ignore = "needs mcs: run tests/run"]
fn what_cannot_be_run_is_well_formed() {
    let sandbox = sandbox();
    for port in ["587", "465"] {
        let source = sandbox.folder.path().join("Program.cs");
        fs::write(&source, snippet(&sandbox, "dotnet", port)).unwrap();
        world::tool("mcs", &["--parse", source.to_str().unwrap()]);
    }
}

#[test]
fn grafana_finds_what_it_needs() {
    let sandbox = sandbox();
    for (port, policy) in [("587", Some("MandatoryStartTLS")), ("465", None)] {
        let text = snippet(&sandbox, "grafana", port);
        let settings: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(" = "))
            .collect();
        assert!(text.contains("\n[smtp]\n"));
        // Or the # would begin a comment.
        let user = format!("\"\"\"{USER}\"\"\"");
        assert_eq!(settings["host"], format!("{HOST}:{port}"));
        assert_eq!([settings["user"], settings["from_address"]], [&user; 2]);
        assert_eq!(settings["password"], "$__env{SMTP_PASSWORD}");
        assert_eq!(
            [settings["enabled"], settings["skip_verify"]],
            ["true", "false"]
        );
        assert_eq!(settings.get("startTLS_policy").copied(), policy);
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let sandbox = sandbox();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--for", "msmtp"], 2, "needs a user"),
        (&["example.com", "--for", "msmtp"], 2, "needs a user"),
        (&[USER, "--for", "msmpt"], 2, "'msmtp'"),
        (&[USER, "--for", ""], 2, "--for"),
        (&[USER, "--for", "a\u{1b}[2J"], 2, "--for"),
        (
            &[USER, "--for", "msmtp", "--port", "26"],
            2,
            "587,465,2525,25",
        ),
        (&[USER, "--port", "587"], 2, "--for"),
        (&["nobody@example.com", "--for", "msmtp"], 3, "no user"),
    ];
    for (args, code, says) in cases {
        let run = sandbox.run(&[&["show-settings"], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{args:?}");
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.contains('\u{1b}'), "{args:?}: {:?}", run.stderr);
    }
    sandbox.noted(&["set-settings", "--host", "none"]);
    let run = sandbox.run(&["show-settings", USER, "--for", "msmtp", "--json"]);
    assert_eq!(run.code, 4);
    assert!(
        run.stderr.contains(r#""code":"host_not_set""#),
        "{}",
        run.stderr
    );
}

#[test]
fn another_name_finds_the_same() {
    let sandbox = sandbox();
    for (other, name) in [
        ("php", "phpmailer"),
        ("smtplib", "python"),
        ("ssmtp", "sendmail"),
    ] {
        assert_eq!(
            snippet(&sandbox, other, "465"),
            snippet(&sandbox, name, "465")
        );
    }
}
