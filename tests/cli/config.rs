//! The configuration files: what they say, who may write them, and `smtpcred config`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use serde_json::{Value, json};

use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::{Run, Sandbox, finished};

fn config_of(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder.path().join(".config/smtpcred/config.toml")
}

/// A configuration file of the caller with this text.
fn configured(sandbox: &Sandbox, text: &str) -> PathBuf {
    let path = config_of(sandbox);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Runs without the variable for the store.
fn run(sandbox: &Sandbox, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    finished(command.env_remove("SMTPCRED_STORE").output().unwrap())
}

fn setting(sandbox: &Sandbox, key: &str) -> Value {
    let listed = run(sandbox, &["config", "list", "--json"]);
    assert_eq!((listed.code, listed.stderr.as_str()), (0, ""));
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let mut listed = listed.as_array().unwrap().iter();
    let found = listed.rfind(|setting| setting["key"] == key);
    found.unwrap().clone()
}

#[test]
fn a_flag_beats_a_variable_and_that_a_file() {
    let sandbox = Sandbox::new();
    let store = sandbox.store().display().to_string();
    let path = configured(
        &sandbox,
        &format!("store = \"{store}\"\ncolor = \"always\"\n"),
    );
    assert_eq!(run(&sandbox, &["domain", "show", "example.com"]).code, 0);
    let said = |value: &str, source: &str, place: Value| json!({"key": "store", "value": value, "source": source, "place": place});
    assert_eq!(
        setting(&sandbox, "store"),
        said(&store, "user", json!(path))
    );
    let listed = sandbox.json(&["config", "list"]);
    let variable = said(&store, "variable", json!("SMTPCRED_STORE"));
    assert_eq!(listed[0], variable);
    let listed = sandbox.json(&["config", "list", "--store", "other.db", "--color", "never"]);
    assert_eq!(listed[0], said("other.db", "flag", Value::Null));
    assert_eq!(listed[3]["source"], "flag");
    // The variable and the flag name other stores than the file.
    for (flag, variable, found) in [(false, "/x.db", "/x.db"), (true, "/x.db", "/y.db")] {
        let mut command = sandbox.command(&["user", "list"]);
        command.env("SMTPCRED_STORE", variable);
        if flag {
            command.args(["--store", "/y.db"]);
        }
        let run = finished(command.output().unwrap());
        assert!(run.stderr.contains(found), "{}", run.stderr);
    }
}

#[test]
fn colours_follow_the_file_and_the_variables() {
    let sandbox = Sandbox::new();
    configured(&sandbox, "color = \"always\"\n");
    let coloured = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command(&[&["user", "show", "no@example.com"], args].concat());
        command.envs(variables.iter().copied());
        finished(command.output().unwrap())
            .stderr
            .contains("\u{1b}[")
    };
    assert!(coloured(&[], &[]));
    assert!(!coloured(&["--color", "never"], &[]));
    assert!(!coloured(&[], &[("NO_COLOR", "1")]));
    assert!(coloured(&[], &[("NO_COLOR", "")]));
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    fs::remove_file(config_of(&sandbox)).unwrap();
    assert!(!coloured(&[], &[]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(
        &[],
        &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]
    ));
}

#[test]
fn help_and_errors_of_the_command_line_follow_it() {
    let sandbox = Sandbox::empty();
    for (color, escapes) in [("always", true), ("never", false)] {
        sandbox.noted(&["config", "set", "color", color]);
        let wrong = sandbox.run(&["user", "list", "--unknown"]);
        assert_eq!(
            wrong.stderr.contains("\u{1b}["),
            escapes,
            "{}",
            wrong.stderr
        );
        assert_eq!(
            sandbox.ok(&["user", "list", "--help"]).contains("\u{1b}["),
            escapes
        );
    }
    // Help works whatever is in the file.
    configured(&sandbox, "colour = 1");
    assert!(sandbox.ok(&["--help"]).contains("config list --help"));
}

#[test]
fn a_change_keeps_comments_and_modes() {
    let sandbox = Sandbox::empty();
    let path = config_of(&sandbox);
    let set = sandbox.run(&["config", "set", "time-zone", "UTC"]);
    assert_eq!(set.code, 0, "{}", set.stderr);
    assert_eq!(
        set.stderr,
        format!("set time-zone = UTC in {}\n", path.display())
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "time-zone = \"UTC\"\n");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let before = "# mine\n\ntime-zone = \"UTC\" # here\n# wide lists\nwide = true\n";
    fs::write(&path, before).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    sandbox.noted(&["config", "set", "time-zone", "Etc/UTC"]);
    sandbox.noted(&["config", "set", "columns", "username, status"]);
    sandbox.noted(&["config", "set", "pager", "less -FRX"]);
    let after = "# mine\n\ntime-zone = \"Etc/UTC\" # here\n# wide lists\nwide = true\n\
                 columns = [\"username\", \"status\"]\npager = \"less -FRX\"\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), after);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_eq!(
        sandbox.ok(&["config", "get", "columns"]),
        "username,status\n"
    );
    assert_eq!(sandbox.ok(&["config", "get", "wide"]), "true\n");
    let unset = sandbox.json(&["config", "unset", "wide"]);
    let unset_record = json!({"key": "wide", "value": null, "source": "user", "place": path});
    assert_eq!(unset, unset_record);
    assert_eq!(setting(&sandbox, "wide")["source"], "default");
    let leftover = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(leftover, 1);
    let again = sandbox.run(&["config", "unset", "wide"]);
    assert_eq!(again.code, 2);
    assert!(
        again.stderr.contains("has no key 'wide'"),
        "{}",
        again.stderr
    );
    assert_eq!(
        sandbox.ok(&["config", "path"]),
        format!("{}\n", path.display())
    );
    assert_eq!(
        sandbox.ok(&["config", "path", "--system"]),
        "/etc/smtpcred/config.toml\n"
    );
}

#[test]
fn a_change_through_a_link_keeps_the_link() {
    let sandbox = Sandbox::empty();
    let path = configured(&sandbox, "");
    let dotfiles = sandbox.folder.path().join("dotfiles.toml");
    fs::rename(&path, &dotfiles).unwrap();
    symlink(&dotfiles, &path).unwrap();
    sandbox.noted(&["config", "set", "wide", "true"]);
    assert!(path.is_symlink());
    assert_eq!(fs::read_to_string(&dotfiles).unwrap(), "wide = true\n");
    assert_eq!(setting(&sandbox, "wide")["source"], "user");
}

#[test]
fn p10_changes_at_the_same_time_lose_none() {
    let sandbox = Sandbox::empty();
    let changes = [
        ("time-zone", "UTC"),
        ("color", "never"),
        ("wide", "true"),
        ("pager", "cat"),
        ("columns", "status"),
        ("store", "/x.db"),
    ];
    let running: Vec<_> = changes
        .iter()
        .map(|(key, value)| {
            let mut command = sandbox.command(&["config", "set", key, value, "--quiet"]);
            command.spawn().unwrap()
        })
        .collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    let text = fs::read_to_string(config_of(&sandbox)).unwrap();
    for (key, _) in changes {
        assert!(
            text.contains(&format!("{key} = ")),
            "{key} is lost:\n{text}"
        );
    }
}

#[test]
fn a_bad_value_is_never_set() {
    let sandbox = Sandbox::empty();
    for (key, value, said) in [
        ("time-zone", "Europe/Berln", "time-zone is not a time zone"),
        (
            "color",
            "allways",
            "color has no value 'allways'; did you mean always?",
        ),
        ("wide", "maybe", "wide must be true or false"),
        ("columns", "status,usernam", "did you mean username?"),
        ("store", "smtpcred.db", "store must be an absolute path"),
        (
            "store",
            "postgres://u:p@db/x",
            "a password in the store's URL",
        ),
        ("colour", "never", "did you mean 'color'?"),
        ("pager", "'", "pager must be a command"),
    ] {
        let run = sandbox.run(&["config", "set", key, value, "--json"]);
        assert_eq!(run.code, 2, "{key} {value}");
        assert!(run.stderr.contains(said), "{key} {value}: {}", run.stderr);
    }
    assert!(!config_of(&sandbox).exists());
}

#[test]
fn a_problem_is_named_with_its_line() {
    let sandbox = Sandbox::new();
    let path = configured(&sandbox, "# x\ncolour = \"never\"\n");
    let shown = path.display();
    let run = sandbox.run(&["user", "list"]);
    assert_eq!(run.code, 2);
    assert_eq!(
        run.stderr,
        format!(
            "error: {shown}:2: colour is not a known key; did you mean color?\n\
             hint: edit the file, or remove a key: smtpcred config unset KEY\n"
        )
    );
    let error: Value =
        serde_json::from_str(&sandbox.run(&["user", "list", "--json"]).stderr).unwrap();
    assert_eq!(error["error"]["code"], "bad_config");
    // What leads out of it works.
    sandbox.ok(&["config", "path"]);
    sandbox.ok(&["--help"]);
    sandbox.ok(&["completion", "bash"]);
    sandbox.noted(&["config", "set", "wide", "true"]);
    sandbox.noted(&["config", "unset", "colour"]);
    sandbox.ok(&["user", "list", "--quiet"]);
    for (text, said) in [
        ("x = [", ":1: invalid TOML"),
        ("wide = \"yes\"", ":1: wide must be true or false"),
        ("\n\nstore = \"x.db\"", ":3: store must be an absolute path"),
    ] {
        configured(&sandbox, text);
        let run = sandbox.run(&["user", "list"]);
        assert_eq!(run.code, 2, "{text}");
        assert!(
            run.stderr.contains(&format!("{shown}{said}")),
            "{}",
            run.stderr
        );
    }
    // A zone that an update removed stops nothing.
    configured(&sandbox, "time-zone = \"Mars/Phobos\"");
    sandbox.ok(&["user", "list", "--quiet"]);
}

/// A typo keeps no relay down, unless the relay could then serve another store.
#[test]
fn serve_starts_with_what_is_valid() {
    let sandbox = Sandbox::new();
    let store = sandbox.store().display().to_string();
    let line = ["serve", "--allow-root", "--check-start"];
    let named = |text: &str| {
        let path = configured(&sandbox, text);
        (sandbox.run(&line), path.display().to_string())
    };
    for (text, said) in [
        (
            "# x\ncolour = \"never\"\n",
            ":2: colour is not a known key; did you mean color? (ignored)",
        ),
        ("x = [", ":1: invalid TOML"),
        ("stores = \"/x.db\"", ":1: stores is not a known key"),
        ("store = \"x.db\"", ":1: store must be an absolute path"),
    ] {
        let (run, path) = named(text);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(
            run.stdout.starts_with("smtpcred can start"),
            "{}",
            run.stdout
        );
        let warning = format!("warning: {path}{said}");
        assert!(run.stderr.starts_with(&warning), "{}", run.stderr);
    }
    // Where nothing but the files names the store.
    let good = format!("store = \"{store}\"\n");
    configured(&sandbox, &format!("{good}wide = 1\ncolour = 1\n"));
    let started = run(&sandbox, &line);
    assert_eq!(started.code, 0, "{}", started.stderr);
    assert_eq!(started.stderr.matches("(ignored)").count(), 2);
    for text in ["x = [", "stores = \"/x.db\"", "store = \"x.db\""] {
        configured(&sandbox, text);
        let refused = run(&sandbox, &line);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{text}");
    }
}

/// Whether the file is used, and the warning if not.
fn is_used(sandbox: &Sandbox) -> Result<(), String> {
    let run = run(sandbox, &["user", "list", "--quiet"]);
    let warnings = run.stderr.lines();
    let mut warnings = warnings.filter_map(|line| line.strip_prefix("warning: "));
    match (run.stderr.contains("/from-the-file.db"), warnings.next()) {
        (true, None) => Ok(()),
        (false, Some(warning)) => Err(warning.to_owned()),
        _ => panic!("{}", run.stderr),
    }
}

#[test]
fn p14_a_file_that_others_can_change_is_ignored() {
    let sandbox = Sandbox::empty();
    let home = sandbox.folder.path();
    let path = configured(&sandbox, "store = \"/from-the-file.db\"\n");
    let folder = path.parent().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let ignored = |why: &str| {
        let warning = is_used(&sandbox).unwrap_err();
        assert_eq!(warning, format!("{} is ignored: {why}", path.display()));
    };
    assert_eq!(is_used(&sandbox), Ok(()));
    mode(&path, 0o602);
    ignored("other users can write it");
    // JSON has it, too.
    let json = run(&sandbox, &["user", "list", "--json"]);
    let first: Value = serde_json::from_str(json.stderr.lines().next().unwrap()).unwrap();
    assert!(first["warning"].as_str().unwrap().contains("is ignored"));
    mode(&path, 0o644);
    assert_eq!(is_used(&sandbox), Ok(()));
    mode(folder, 0o777);
    ignored(&format!("another user can change {}", folder.display()));
    mode(folder, 0o700);
    // Nor is it changed.
    mode(&path, 0o666);
    let set = sandbox.run(&["config", "set", "wide", "true"]);
    assert_eq!(set.code, 1);
    assert!(
        set.stderr
            .contains("cannot be changed: other users can write it")
    );
    mode(&path, 0o600);
    let real = home.join("real.toml");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    assert_eq!(is_used(&sandbox), Ok(()), "a link of one's own");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    ignored("it is not a regular file");
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    ignored("it is not a regular file");
    fs::remove_file(&path).unwrap();
    fs::write(&path, vec![b'#'; 70_000]).unwrap();
    ignored("it is too large");
    fs::write(&path, [b'#', 0xff]).unwrap();
    ignored("stream did not contain valid UTF-8");
}

/// As behind `sudo -E`: the home is that of the person who called it.
#[test]
#[ignore = "needs root: run tests/run"]
fn p14_root_does_not_read_the_file_of_another_user() {
    assert!(geteuid().is_root());
    let sandbox = Sandbox::empty();
    let home = sandbox.folder.path();
    let path = configured(&sandbox, "store = \"/from-the-file.db\"\n");
    let nobody = User::from_name("nobody").unwrap().unwrap().uid.as_raw();
    let give = |path: &Path, to: u32| std::os::unix::fs::lchown(path, Some(to), None).unwrap();
    let warning = || is_used(&sandbox).unwrap_err();
    give(&path, nobody);
    assert!(warning().ends_with("it belongs to nobody"));
    give(&path, 0);
    give(home, nobody);
    assert!(warning().ends_with(&format!("another user can change {}", home.display())));
    let set = sandbox.run(&["config", "set", "wide", "true"]);
    assert_eq!(set.code, 1);
    assert!(
        set.stderr
            .contains("smtpcred config set --system KEY VALUE")
    );
    give(home, 0);
    // A link that another user placed, to a file of root's.
    let real = home.join("real.toml");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    give(&path, nobody);
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(warning().contains("is a link that belongs to nobody"));
    // The same home, and the user it belongs to.
    fs::remove_file(&path).unwrap();
    fs::rename(&real, &path).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    for path in [home, &home.join(".config"), path.parent().unwrap(), &path] {
        give_to_nobody(path);
    }
    let mut own = as_nobody(program_in(home).to_str().unwrap());
    own.args(["config", "get", "store"]).env("HOME", home);
    let run = finished(own.current_dir(home).output().unwrap());
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("/from-the-file.db\n", "")
    );
}

/// In a mount namespace, where /etc is a copy.
#[test]
#[ignore = "needs root: run tests/run"]
fn the_file_for_all_users_comes_last() {
    let sandbox = Sandbox::empty();
    let program = program_in(sandbox.folder.path());
    let script = format!(
        "mkdir etc && cp /etc/passwd /etc/group /etc/nsswitch.conf etc && mount --bind etc /etc && \
         set -e; s={}; umask 077
         $s config set color never --system
         $s config set wide true --system --quiet
         stat -c '%a %U' /etc/smtpcred /etc/smtpcred/config.toml
         $s config get color
         $s config set color always --quiet
         $s config list --format csv | grep -e color -e wide
         setpriv --reuid nobody --regid nogroup --clear-groups env HOME=/nonexistent $s config get color
         $s config unset color --quiet
         chmod 666 /etc/smtpcred/config.toml
         $s config get wide",
        program.display()
    );
    let home = sandbox.folder.path();
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    chown(home, Some(0), Some(0)).unwrap();
    let mut command = sandbox.other_command("unshare", &["-m", "sh", "-c", &script]);
    let run = finished(command.output().unwrap());
    let user = config_of(&sandbox);
    let expected = format!(
        "755 root\n644 root\nnever\n\
         color,always,user,{}\nwide,true,system,/etc/smtpcred/config.toml\n\
         never\nfalse\n",
        user.display()
    );
    assert_eq!(run.stdout, expected, "{}", run.stderr);
    assert_eq!(
        run.stderr,
        "set color = never in /etc/smtpcred/config.toml\n\
         warning: /etc/smtpcred/config.toml is ignored: other users can write it\n"
    );
}

#[test]
fn completion_scripts_are_those_of_the_package() {
    let sandbox = Sandbox::empty();
    for (shell, file) in [
        ("bash", "smtpcred.bash"),
        ("zsh", "_smtpcred"),
        ("fish", "smtpcred.fish"),
    ] {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        let committed = fs::read_to_string(committed.join(file)).unwrap();
        let printed = sandbox.ok(&["completion", shell]);
        assert_eq!(printed.trim_end(), committed.trim_end(), "{shell}");
    }
    let unknown = sandbox.run(&["completion", "tcsh"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown
            .stderr
            .contains("[possible values: bash, zsh, fish]")
    );
}

#[test]
fn columns_and_tags_are_completed() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    for tag in ["env=prod", "team=web"] {
        sandbox.noted(&["user", "set", "shop@example.com", "--tag", tag]);
    }
    let completed = |args: &[&str]| {
        let words = [&["--", "smtpcred"], args].concat();
        let last = args.len().to_string();
        let mut command = sandbox.command(&words);
        command
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", last);
        let run = finished(command.env("_CLAP_IFS", " ").output().unwrap());
        assert_eq!(run.stderr, "");
        run.stdout
    };
    for (args, offered) in [
        (&["user", "list", "--columns", "US"][..], "username"),
        (
            &["user", "list", "--columns", "status,pass"],
            "status,password-id status,password-age",
        ),
        (&["audit", "list", "--columns", "w"], "who"),
        (&["usage", "--columns", "rec"], "recipients"),
        (&["config", "set", "color", "a"], "auto always"),
        (&["config", "set", "--quiet", "wide", "t"], "true"),
        (&["config", "set", "pager", "f"], "false"),
        (&["user", "list", "--tag", "e"], "env=prod"),
        (
            &["user", "set", "shop@example.com", "--tag", ""],
            "env=prod team=web",
        ),
    ] {
        assert_eq!(completed(args), offered, "{args:?}");
    }
}

#[test]
fn the_last_key_takes_its_file_with_it() {
    let sandbox = Sandbox::new();
    let path = configured(&sandbox, "");
    fs::remove_file(&path).unwrap();
    sandbox.noted(&["config", "set", "wide", "true"]);
    sandbox.noted(&["config", "set", "color", "never"]);
    sandbox.noted(&["config", "unset", "wide"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "color = \"never\"\n");
    sandbox.noted(&["config", "unset", "color"]);
    assert!(!path.exists());
    assert_eq!(setting(&sandbox, "color")["source"], "default");
    // A comment is not thrown away.
    fs::write(&path, "wide = true\n\n# mine\n").unwrap();
    sandbox.noted(&["config", "unset", "wide"]);
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), "# mine");
}

#[test]
fn a_pager_that_does_not_exist_is_warned_about() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["config", "set", "pager", "no-such-pager -R"]);
    assert_eq!(run.code, 0);
    assert!(
        run.stderr
            .contains("warning: there is no program no-such-pager"),
        "{}",
        run.stderr
    );
    let run = sandbox.run(&["config", "set", "pager", "cat"]);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[test]
fn names_are_completed_from_the_configured_store() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    configured(
        &sandbox,
        &format!("store = \"{}\"", sandbox.store().display()),
    );
    let mut command = sandbox.command(&["--", "smtpcred", "user", "show", "sh"]);
    command.env_remove("SMTPCRED_STORE").env("COMPLETE", "bash");
    command.env("_CLAP_COMPLETE_INDEX", "3");
    let run = finished(command.output().unwrap());
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("shop@example.com", "")
    );
}
