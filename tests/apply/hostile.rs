//! `apply` of plans that are hostile, hold secrets, or belong to a store that others
//! can write.

use std::fs;
use std::path::PathBuf;

use crate::support::apply::Ground;
use crate::support::{self, nobody};

#[test]
fn p8_hostile_plans_change_nothing_and_reach_no_terminal() {
    let ground = Ground::new();
    let large = "#".repeat(4 * 1024 * 1024 + 1);
    let many = "=\n".repeat(2 * 1024 * 1024 - 1);
    let plans: [(&[u8], &str); 9] = [
        (b"", "the plan is empty"),
        (b"# nothing\n", "the plan is empty"),
        (b"[settings]\nhost = \"\xff\"", "is not UTF-8"),
        (b"\0\0\0", "invalid TOML"),
        (b"[settings]\nhost = \"\x1b[2Jx\"", "invalid TOML"),
        (
            b"[settings]\nhost = \"\\u001b]0;x\\u0007\"",
            "is not a valid server name",
        ),
        (b"[users.\"\\u001b[31m\"]\n", "is not a valid username"),
        (large.as_bytes(), "is larger than 4 MiB"),
        (many.as_bytes(), "invalid TOML"),
    ];
    for (plan, reason) in plans {
        for format in ["table", "json", "csv"] {
            let args = ["apply", "-", "--format", format, "--prune", "--yes"];
            let run = ground.sandbox.run_with_stdin(&args, plan);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert_eq!(run.code, 2, "{reason}: {said}");
            assert!(said.contains(reason), "{reason}: {said}");
            assert!(
                !said.contains('\u{1b}') && !said.contains('\u{7}'),
                "{said:?}"
            );
        }
    }
    for missing in ["nothing.toml", "."] {
        let run = ground.apply(&PathBuf::from(missing), &[]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains("cannot be read"), "{}", run.stderr);
    }
    assert!(!ground.sandbox.store().exists());
}

#[test]
fn p1_a_password_in_a_plan_is_refused_and_not_repeated() {
    let ground = Ground::new();
    for line in [
        "password = \"hunter2hunter2\"",
        "password = hunter2hunter2",
        "hash = [\"hunter2hunter2\"]",
    ] {
        let plan = ground.plan(&format!("[users.\"a@example.com\"]\n{line}\n"));
        for format in ["table", "json", "csv"] {
            let run = ground.apply(&plan, &["--format", format]);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert_eq!(run.code, 2, "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn deliveries_of_a_foreign_store_are_not_run_by_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let ground = Ground::new();
    ground.sandbox.noted(&["domain", "add", "example.com"]);
    let command = format!("sh -c 'cat > {}'", ground.path("got").display());
    ground
        .sandbox
        .noted(&["domain", "set", "example.com", "--deliver", &command]);
    let store = ground.sandbox.store();
    for path in [store.as_path(), store.parent().unwrap()] {
        nobody::give_to_nobody(path);
    }
    for entry in fs::read_dir(store.parent().unwrap()).unwrap() {
        nobody::give_to_nobody(&entry.unwrap().path());
    }
    let new = ground.plan("[users.\"a@example.com\"]\n");
    let half = ground.plan_named(
        "half.toml",
        "[domains.\"example.com\"]\nwrite_file = \"FOLDER/{username}\"\n[users.\"a@example.com\"]\n",
    );
    for plan in [&new, &half] {
        let run = ground.apply(plan, &[]);
        assert_eq!(run.code, 4, "{}", run.stderr);
        assert!(run.stderr.contains("root does not run"), "{}", run.stderr);
        assert!(!ground.path("got").exists());
    }
    let own = ground.plan("[users.\"a@example.com\"]\ndeliver = \"sh -c 'cat > FOLDER/own'\"\n");
    assert_eq!(ground.apply(&own, &[]).code, 0);
    assert!(ground.works("a@example.com", &ground.text("own")));
    let another = ground.plan("[users.\"b@example.com\"]\n");
    assert_eq!(ground.apply(&another, &["--trust-store"]).code, 0);
    assert!(ground.works("b@example.com", &ground.text("got")));
}

#[test]
fn p2_a_folder_that_cannot_be_written_is_found_out_before_anything_changes() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let ground = Ground::new();
    let plan = ground.plan("[domains.\"example.com\"]\n[users.\"a@example.com\"]\n");
    fs::create_dir(ground.path("of-root")).unwrap();
    for path in [ground.sandbox.folder.path(), &plan] {
        nobody::give_to_nobody(path);
    }
    fs::write(ground.path("names.csv"), "username\na@example.com\n").unwrap();
    let bulk = ["user", "create", "--from", "names.csv", "--add-domain"];
    for command in [&["apply", "plan.toml"][..], &bulk] {
        for dry in [&[][..], &["--dry-run"]] {
            let args = [command, &["--output-dir", "of-root"], dry].concat();
            let run = nobody::as_nobody(support::PROGRAM)
                .args(&args)
                .env("SMTPCRED_STORE", ground.sandbox.store())
                .current_dir(ground.sandbox.folder.path())
                .output();
            let run = support::finished(run.unwrap());
            assert_eq!(run.code, 74, "{args:?}: {run:?}");
            assert!(run.stderr.contains("of-root: Permission denied"), "{run:?}");
            assert!(run.stderr.contains("mkdir -m 700"), "{run:?}");
        }
    }
    assert!(!ground.sandbox.store().exists());
}
