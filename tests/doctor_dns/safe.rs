//! What `smtpcred doctor` must not do on the machine that it examines.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{self, Sandbox};

fn program(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whoever may write the folder that root is in would be root.
#[test]
fn no_program_of_the_current_folder_is_run() {
    let sandbox = Sandbox::new();
    let here = sandbox.folder.path();
    fs::create_dir(here.join("bin")).unwrap();
    for name in ["timedatectl", "postconf", "exim4", "exim", "doveconf"] {
        for place in ["", "bin"] {
            program(
                &here.join(place).join(name),
                "#!/bin/sh\necho ran >> \"$0.ran\"\n",
            );
        }
    }
    for path in [
        None,
        Some(""),
        Some(":/usr/bin"),
        Some(".:bin"),
        Some("/usr/bin:"),
    ] {
        let mut command = sandbox.command(&["doctor", "--json", "--port", "1"]);
        match path {
            Some(path) => command.env("PATH", path),
            None => command.env_remove("PATH"),
        };
        support::finished(command.output().unwrap());
        let ran = |file: &str| here.join(format!("{file}.ran")).exists();
        assert!(!ran("timedatectl") && !ran("bin/timedatectl"), "{path:?}");
        assert!(!ran("postconf") && !ran("bin/doveconf"), "{path:?}");
    }
    // By an absolute path, it is.
    let mut command = sandbox.command(&["doctor", "--json", "--port", "1"]);
    command.env("PATH", here.join("bin"));
    support::finished(command.output().unwrap());
    assert!(here.join("bin/timedatectl.ran").exists());
}

/// What came of `doctor` on this store: the findings of one check.
fn of_store(sandbox: &Sandbox, store: &Path, check: &str) -> Vec<(String, String, String)> {
    let store = store.to_str().unwrap();
    let run = sandbox.run(&["doctor", "--json", "--port", "1", "--store", store]);
    let found: serde_json::Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    let found = found.as_array().unwrap().iter();
    let found = found.filter(|one| one["area"] == "store" && one["check"] == check);
    let text = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap_or("").to_owned();
    found
        .map(|one| (text(one, "state"), text(one, "found"), text(one, "advice")))
        .collect()
}

/// SQLite would wait for somebody to write into it.
#[test]
fn a_pipe_beside_the_store() {
    let sandbox = Sandbox::new();
    let journal = sandbox.store().with_extension("db-journal");
    nix::unistd::mkfifo(&journal, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = of_store(&sandbox, &sandbox.store(), "file");
    assert!(
        matches!(&found[..], [(state, said, _)]
        if state == "fail" && said.contains("-journal is not a file")),
        "{found:?}"
    );
    assert_ne!(sandbox.run(&["domain", "list"]).code, 0);
}

/// Whoever may rename a folder above it, or the link to it, has another store read.
#[test]
fn a_store_that_can_be_replaced_from_above() {
    let sandbox = Sandbox::new();
    let open = sandbox.folder.path().join("it's open");
    let inner = open.join("inner");
    fs::create_dir_all(&inner).unwrap();
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
    let [copy, link] = [inner.join("s.db"), open.join("link.db")];
    fs::copy(sandbox.store(), &copy).unwrap();
    std::os::unix::fs::symlink(sandbox.store(), &link).unwrap();
    for store in [&copy, &link] {
        fs::set_permissions(&open, fs::Permissions::from_mode(0o757)).unwrap();
        let found = of_store(&sandbox, store, "mode");
        let typed = found[0].2.strip_prefix("chmod o-w ").expect("what to type");
        assert_eq!(found[0].0, "fail", "{found:?}");
        // As it is typed.
        let run = sandbox.other_command("sh", &["-c", &format!("chmod o-w {typed}")]);
        let run = { run }.output().unwrap();
        assert!(run.status.success(), "{found:?}");
        let found = of_store(&sandbox, store, "mode");
        assert_eq!(found[0].0, "ok", "{found:?}");
    }
}

/// A member of the store's group makes a log of its own, while it looks.
#[test]
#[ignore = "needs root: run tests/run"]
fn the_log_that_doctor_makes_itself() {
    let sandbox = Sandbox::new();
    let folder = sandbox.store().parent().unwrap().to_owned();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap();
    for (path, mode) in [
        (sandbox.folder.path(), 0o755),
        (folder.as_path(), 0o2770),
        (&sandbox.store(), 0o660),
    ] {
        let owners = (Some(nobody.uid.as_raw()), Some(daemon.gid.as_raw()));
        std::os::unix::fs::chown(path, owners.0, owners.1).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let as_daemon = [
        "--reuid",
        "daemon",
        "--regid",
        "daemon",
        "--clear-groups",
        "--",
    ];
    let mut command = sandbox.other_command("setpriv", &as_daemon);
    command.args([support::PROGRAM, "doctor", "--format", "csv", "--port", "1"]);
    command.current_dir("/");
    let run = support::finished(command.output().unwrap());
    assert!(run.stdout.contains("store,owner,ok,nobody,"), "{run:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{run:?}");
}

/// What a server's configuration names is not read for ever, and comments in it
/// say nothing.
#[test]
fn files_that_a_configuration_names() {
    let sandbox = Sandbox::new();
    let here = sandbox.folder.path();
    let [pipe, comments] = ["pipe", "comments"].map(|name| here.join(name));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let query = "# driver = sql\n#  password_query = SELECT x FROM dovecot_users\n";
    fs::write(&comments, query).unwrap();
    let text = format!(
        "#!/bin/sh\necho 'args = {}\n args = {}'\n",
        pipe.display(),
        comments.display()
    );
    program(&here.join("doveconf"), &text);
    let args = ["doctor", "--json", "--port", "1", "--server", "dovecot"];
    let mut command = sandbox.command(&args);
    command.env("PATH", here);
    let run = support::finished(command.output().unwrap());
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    for check in ["driver = sql", "dovecot_users"] {
        let mut found = found.as_array().unwrap().iter();
        let one = found.find(|one| one["check"] == check).unwrap();
        assert_eq!(one["state"], "fail", "{one}");
    }
}
