//! Deliveries by commands: whatever they do, some password works that somebody
//! has (promise 6), and nothing tells it to anybody else (promise 1).
//! This file is long on purpose: it tests everything that a command may do.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::rotation::{After, Place, USER, WELL, is_dead, spawned};
use crate::support::{self, Sandbox, ended, wait_for};

/// More than any run here takes, and less than one that hangs.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn p6_what_arrived_works_and_the_old_one_retires() {
    let place = Place::new();
    let run = place.rotate(WELL, &["--overlap", "1h"]);
    place.is(After::Rotated, &run);
    assert_eq!(run.stdout, "rotated 1, failed 0\n");
    assert!(place.works(&place.got()));
    let retires = "passwords WHERE retires_at BETWEEN unixepoch() + 3500 AND unixepoch() + 3600";
    assert_eq!(place.count(retires), 1);
}

#[test]
fn p6_without_an_overlap_the_old_one_stops_at_the_arrival() {
    let place = Place::new();
    let run = place.rotate("exit 1", &["--overlap", "0"]);
    place.is(After::Withdrawn, &run);
    assert_eq!(place.rotate(WELL, &["--overlap", "0"]).code, 0);
    assert!(place.works(&place.got()) && !place.works(&place.old));
    assert_eq!(place.keys().len(), 1);
}

#[test]
fn p6_a_command_that_dies_half_way_leaves_both() {
    let place = Place::new();
    let run = place.rotate("tee got | head -c 9 > app; kill -9 $$", &[]);
    place.is(After::Unfinished, &run);
    assert!(place.works(&place.got()));
    assert!(run.stderr.contains("killed by signal 9"), "{run:?}");

    // It arrived: somebody signs in with it.
    place.signed_in(&place.keys()[1], 0);
    let run = place.rotate("touch again", &[]);
    place.is(After::Rotated, &run);
    assert!(run.stderr.contains("of an earlier run has arrived"));
    assert!(!place.path("again").exists() && place.works(&place.got()));
}

#[test]
fn p6_an_exit_code_is_not_enough_to_withdraw_what_was_read() {
    let place = Place::new();
    let run = place.rotate("cat > got; exit 3", &[]);
    place.is(After::Unfinished, &run);
    let lost = place.got();
    assert!(place.works(&lost));

    // A sign-in with the old one while it was delivered says nothing: it waits.
    place.signed_in(&place.keys()[0], -5);
    let run = place.rotate("touch again", &[]);
    place.is(After::Unfinished, &run);
    assert!(!place.path("again").exists());
    // Nor does a reset that would leave three.
    let run = place
        .sandbox
        .run(&["user", "reset", USER, "--overlap", "1h", "--json"]);
    assert_eq!(run.code, 4);
    assert!(run.stderr.contains("rotation_unfinished"), "{run:?}");

    // One later does: it has not arrived.
    place.signed_in(&place.keys()[0], 2);
    let run = place.rotate(WELL, &[]);
    place.is(After::Rotated, &run);
    assert!(place.works(&place.got()) && !place.works(&lost));
}

#[test]
fn p6_forced_it_is_begun_anew_without_knowing() {
    let place = Place::new();
    let run = place.rotate("cat > got; exit 3", &[]);
    place.is(After::Unfinished, &run);
    let lost = place.got();
    let run = place.rotate(WELL, &["--force"]);
    place.is(After::Rotated, &run);
    assert!(place.works(&place.got()) && !place.works(&lost));
}

#[test]
fn p6_a_command_that_hangs_is_killed_with_all_it_started() {
    let place = Place::new();
    // All of them shrug a polite signal off.
    let hangs = "trap '' TERM; cat > got; (sleep 1000) & echo $! > grandchild; echo $$ > pid; wait";
    let run = place.rotate(hangs, &["--deliver-timeout", "1s"]);
    place.is(After::Unfinished, &run);
    assert!(
        run.stderr.contains("did not end within 1s and was killed"),
        "{run:?}"
    );
    for name in ["pid", "grandchild"] {
        let pid = place.wait_for_file(name);
        wait_for("its end", || is_dead(&pid).then_some(()));
    }
    assert!(place.works(&place.got()));
}

#[test]
fn p6_a_command_that_hangs_and_reads_nothing_has_nothing() {
    let place = Place::new();
    let run = place.rotate("exec sleep 1000", &["--deliver-timeout", "1s"]);
    place.is(After::Withdrawn, &run);
    place.mends();
}

#[test]
fn p6_what_nobody_read_has_not_arrived() {
    for script in ["exit 0", "exit 1", "exec 0<&-; exit 0", "kill -9 $$"] {
        let place = Place::new();
        let run = place.rotate(script, &[]);
        place.is(After::Withdrawn, &run);
        place.mends();
    }
}

#[test]
fn p6_a_part_of_it_is_not_an_arrival() {
    let place = Place::new();
    let run = place.rotate("head -c 5 > got; exit 0", &[]);
    place.is(After::Unfinished, &run);
    // The newline may be left.
    let place = Place::new();
    let run = place.rotate("head -c 36 > got; echo >> got", &[]);
    place.is(After::Rotated, &run);
    assert!(place.works(&place.got()));
}

#[test]
fn p6_75_says_that_nothing_was_delivered() {
    let place = Place::new();
    let run = place.rotate("cat > got; echo the vault is sealed; exit 75", &[]);
    place.is(After::Withdrawn, &run);
    assert!(!place.works(&place.got()));
    assert!(
        run.stderr
            .contains("deferred the delivery (exit code 75): the vault is sealed"),
        "{run:?}"
    );
    place.mends();
}

#[test]
fn p6_what_cannot_be_started_has_not_delivered() {
    let place = Place::new();
    fs::write(place.path("plain"), "#!/bin/sh\ncat\n").unwrap();
    let plain = place.path("plain");
    for command in [
        "no-such-program",
        "/no/such/program",
        plain.to_str().unwrap(),
        "/",
    ] {
        let run = place.rotate_to(&["--deliver", command]);
        place.is(After::Refused, &run);
        assert!(run.stderr.contains("could not be started"), "{run:?}");
    }
    place.mends();
}

#[test]
fn p1_what_a_command_prints_is_masked_everywhere() {
    let scripts = [
        "read p; echo \"to stdout $p.\"; echo \"to stderr $p.\" >&2; exit 1",
        "read p; printf %s \"$p$p\"; exit 1",
        // Longer than what is shown of a line, and the password where it ends.
        "read p; head -c 985 /dev/zero | tr '\\0' .; echo \"$p\"; exit 1",
        "read p; head -c 2010 /dev/zero | tr '\\0' .; echo \"$p\"; exit 1",
    ];
    for script in scripts {
        let place = Place::new();
        let keep = format!("tee got | {{ {script}; }}");
        let run = place.rotate(&keep, &["--json"]);
        place.is(After::Unfinished, &run);
        let secret = place.got();
        assert!(
            run.stderr.contains("***") || script.contains("2010"),
            "{run:?}"
        );
        let mut said = vec![run.stdout, run.stderr];
        for args in [
            &["user", "show", USER][..],
            &["user", "show", USER, "--json"],
            &["report", "--unfinished", "--json"],
            &["audit", "list", "--json"],
        ] {
            let run = place.sandbox.run(args);
            said.extend([run.stdout, run.stderr]);
        }
        for entry in fs::read_dir(place.sandbox.store().parent().unwrap()).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            said.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        // Of a generated one its beginning is known to everybody.
        let (first, second) = secret["smtpc_".len()..].split_at(15);
        for text in said {
            for part in [&first[..8], first, second] {
                assert!(!text.contains(part), "{script}: {text}");
            }
        }
    }
}

/// An old password may still work, and what a file held before may be one.
#[test]
fn p1_old_passwords_that_a_command_prints_are_masked() {
    let place = Place::new();
    let file = place.path("file");
    let env = place.path("env");
    fs::write(&file, "chosen and old\n").unwrap();
    fs::write(&env, "A=1\nSMTP_PASSWORD='another old one'\n").unwrap();
    let before = place.old.clone();
    let script = format!(
        "read new; echo \"{before}\"; echo \"-{before} +$new\" >&2; \
         printf 'x%sx' {before}; sleep 0; printf '%s' {before}; echo; \
         echo chosen and old, another old one; exit 1"
    );
    let run = place.rotate(
        &script,
        &[
            "--write-file",
            file.to_str().unwrap(),
            "--write-env",
            env.to_str().unwrap(),
        ],
    );
    let new = fs::read_to_string(&file).unwrap();
    let mut said = format!("{}{}", run.stdout, run.stderr);
    for args in [
        &["report", "--unfinished", "--json"][..],
        &["audit", "list", "--json"],
        &["user", "show", USER, "--json"],
    ] {
        said += &place.sandbox.run(args).stdout;
    }
    for secret in [&before, new.trim_end(), "chosen and old", "another old one"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    assert!(said.contains("-******** +********"), "{said}");
}

#[test]
fn p8_a_command_that_needs_a_shell_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let plan = sandbox.folder.path().join("plan.toml");
    let many = vec!["tee"; 1000].join(" ");
    for (command, reason) in [
        (
            "tee f && systemctl restart shop",
            "no shell reads this: use sh -c '…'",
        ),
        ("tee f || true", "no shell reads this"),
        ("tee f | mail", "no shell reads this"),
        ("tee f; reload", "no shell reads this"),
        ("cat > f", "no shell reads this"),
        ("cat 2> f", "no shell reads this"),
        ("tee $(hostname)", "no shell reads this"),
        ("tee `hostname`", "no shell reads this"),
        ("~/bin/deliver", "no shell reads this"),
        (&many, "up to 100 words"),
    ] {
        fs::write(
            &plan,
            format!("[users.\"{USER}\"]\ndeliver = {command:?}\n"),
        )
        .unwrap();
        for args in [
            &["user", "set", USER, "--deliver", command][..],
            &["user", "rotate", USER, "--deliver", command],
            &["user", "create", "new@example.com", "--deliver", command],
            &["domain", "set", "example.com", "--deliver", command],
            &["domain", "add", "other.example", "--deliver", command],
            &["set-settings", "--deliver", command],
            &["apply", "plan.toml"],
        ] {
            let run = sandbox.run(args);
            assert_eq!(run.code, 2, "{args:?}: {run:?}");
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains(reason), "{args:?}: {run:?}");
        }
    }
    for file in ["&&", "f", "systemctl"] {
        assert!(!sandbox.folder.path().join(file).exists());
    }
}

#[test]
fn p1_the_password_is_in_no_argument_and_no_environment() {
    let place = Place::new();
    place
        .sandbox
        .noted(&["set-settings", "--host", "smtp.example.com"]);
    let old_password_id = place.keys().remove(0);
    // Of a parent that others cannot look into there is nothing to read.
    let look = "cat > got; env > variables
        cat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline > seen
        cat /proc/$PPID/environ >> seen 2>&1; exit 0";
    let run = place.rotate(look, &[]);
    place.is(After::Rotated, &run);
    let seen = fs::read(place.path("seen")).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("SMTPCRED_USERNAME") && seen.contains("rotate"));
    assert!(
        !seen.contains(&place.got()["smtpc_".len()..][..8]),
        "{seen}"
    );

    let new_key = place.keys().remove(1);
    let variables = fs::read_to_string(place.path("variables")).unwrap();
    for expected in [
        "SMTPCRED_USERNAME=shop@example.com",
        "SMTPCRED_DOMAIN=example.com",
        "SMTPCRED_HOST=smtp.example.com",
        "SMTPCRED_PORT=587",
        &format!("SMTPCRED_PASSWORD_ID={new_key}"),
        &format!("SMTPCRED_OLD_PASSWORD_ID={old_password_id}"),
    ] {
        assert!(
            variables.lines().any(|line| line == expected),
            "{variables}"
        );
    }
}

#[test]
fn a_command_gets_the_password_and_one_newline() {
    let place = Place::new();
    assert_eq!(place.rotate("cat > got; cat >> got", &[]).code, 0);
    let text = fs::read_to_string(place.path("got")).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    assert_eq!(text.len(), "smtpc_".len() + 30 + 1);
}

#[test]
fn p8_no_shell_reads_a_command() {
    let place = Place::new();
    let script = place.script("cat > got; printf '%s\\n' \"$@\" > arguments");
    let line =
        format!("{script} $HOME * ';' '$(touch injected)' '`id`' 'a b' a\\ c \"d'e\" '' '>f'");
    assert_eq!(place.rotate_to(&["--deliver", &line]).code, 0);
    let arguments = fs::read_to_string(place.path("arguments")).unwrap();
    let expected = "$HOME\n*\n;\n$(touch injected)\n`id`\na b\na c\nd'e\n\n>f\n";
    assert_eq!(arguments, expected);
    assert!(!place.path("injected").exists() && !place.path("f").exists());
    // Stored, it is the same.
    let place = Place::new();
    let script = place.script("cat > got; printf '%s\\n' \"$@\" > arguments");
    let line = line.replace(line.split(" $HOME").next().unwrap(), &script);
    place
        .sandbox
        .ok(&["user", "set", USER, "--deliver", &line, "-q"]);
    assert_eq!(place.rotate_to(&["--trust-store"]).code, 0);
    let arguments = fs::read_to_string(place.path("arguments")).unwrap();
    assert_eq!(arguments, expected);
}

#[test]
fn p8_what_a_command_left_running_holds_nobody_up() {
    let place = Place::new();
    // It holds the pipe, and prints without a pause.
    let daemon = "cat > got; (while [ ! -e go ]; do echo x; sleep 0.02; done) & exit 0";
    let start = Instant::now();
    let mut command = place.command(daemon, &["--deliver-timeout", "2s"]);
    let running = spawned(command.stderr(Stdio::null()));
    let end = ended(running);
    place.go();
    assert!(
        start.elapsed() < LONG,
        "it waited for what goes on for ever"
    );
    place.is(After::Rotated, &end);
}

#[test]
fn p8_a_command_that_floods_is_ended_at_its_time() {
    let place = Place::new();
    let flood = "exec yes $(head -c 900 /dev/zero | tr '\\0' x)";
    let mut command = place.command(flood, &["--deliver-timeout", "1s"]);
    // Slower than what is printed.
    let log = fs::File::create(place.path("log")).unwrap();
    command.stderr(log).stdout(Stdio::null());
    let start = Instant::now();
    let mut running = support::Server(command.spawn().unwrap());
    let status = wait_for("its end", || {
        assert!(start.elapsed() < LONG, "it goes on for ever");
        running.0.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(1));
    assert!(place.works(&place.old));
    assert_eq!(place.keys().len(), 1);
}

#[test]
fn one_run_at_a_time() {
    let place = Place::new();
    let running = place.hanging(&[]);
    for args in [
        &["user", "rotate", USER, "--deliver", "cat"][..],
        &["user", "rotate", "--due"],
    ] {
        let run = place.sandbox.run(&[args, &["--json"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (75, ""));
        assert!(run.stderr.contains("\"rotation_running\""), "{run:?}");
    }
    // Looking is no run.
    place
        .sandbox
        .noted(&["user", "rotate", "--due", "--dry-run"]);
    place.go();
    place.is(After::Rotated, &ended(running));
    assert!(place.works(&place.got()));
}

/// So many users that the last is not begun while the first is delivered.
#[test]
fn a_user_that_was_renamed_meanwhile_is_not_called_deleted() {
    const USERS: usize = 200;
    let place = Place::new();
    let hash = "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
    let names: Vec<_> = (0..USERS).map(|i| format!("z{i:03}@example.com")).collect();
    let rows: Vec<_> = names.iter().map(|name| format!("{name},{hash}")).collect();
    let rows = rows.join("\n");
    let rows = format!("username,hash\n{rows}");
    let import = ["user", "import", "-", "--from", "csv"];
    let run = place.sandbox.run_with_stdin(&import, rows.as_bytes());
    assert_eq!(run.code, 0, "{run:?}");
    place
        .sandbox
        .noted(&["set-settings", "--argon2", "m=7168,t=5,p=1"]);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let running = place.hanging(&[&["--jobs", "1"], &names[..]].concat());
    let [renamed, deleted] = [names[USERS - 1], names[USERS - 2]];
    place
        .sandbox
        .noted(&["user", "rename", renamed, "new@example.com"]);
    place.sandbox.noted(&["user", "delete", deleted, "--yes"]);
    place.go();
    let run = ended(running);
    assert_eq!(run.code, 1, "{run:?}");
    for said in [
        format!("{renamed} was not rotated: it was renamed to new@example.com meanwhile"),
        format!("{deleted} was not rotated: it was deleted meanwhile"),
    ] {
        assert!(run.stderr.contains(&said), "{said}: {run:?}");
    }
}

#[test]
fn nobody_is_rotated_where_nothing_says_where_to() {
    let place = Place::new();
    for (args, code, name) in [
        (&["user", "rotate", USER][..], 4, "no_delivery"),
        (
            &["user", "rotate", "nobody@example.com", "--deliver", "cat"],
            3,
            "user_not_found",
        ),
        (&["user", "rotate"], 2, "usage"),
    ] {
        let run = place.sandbox.run(&[args, &["--json"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{run:?}");
        assert!(run.stderr.contains(name), "{run:?}");
    }
    assert_eq!(place.keys().len(), 1);
}
