//! `scan` in Git repositories: every commit, what is staged, and nothing that a repository makes
//! git run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::scan::{folder, ids, password, scan, sh};
use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::{Sandbox, finished, is_long};

#[test]
fn histories_name_the_first_commit() {
    let sandbox = Sandbox::new();
    let repo = folder(&sandbox, "repo");
    let texts: Vec<_> = (0..4).map(|_| password()).collect();
    for (name, (text, _)) in ["one", "two", "three", "message"].iter().zip(&texts) {
        fs::write(format!("{repo}/../{name}"), format!("x\n{text}\n")).unwrap();
    }
    sh(
        &repo,
        "git init -q -b main .
        mkdir conf; cp ../one conf/ä.env; git add .; git commit -qm first
        git mv conf/ä.env moved; git commit -qm second
        git rm -q moved; git commit -qm third
        git checkout -qb side HEAD~2; cp ../two two; git add .; git commit -qm 'on a branch'
        git checkout -q main; git merge -q --no-edit side; git commit -q --allow-empty -F ../message
        cp ../three three; git add .; git commit -qm dropped; git reset -q --hard HEAD~1
        git gc -q; git clone -q --bare . ../bare.git; git clone -q --depth 1 file://$PWD ../shallow",
    );
    let rev = |of: &str| {
        sh(&repo, &format!("git rev-parse {of}"))
            .stdout
            .trim()
            .to_owned()
    };
    let [first, side, message] = ["':/^first'", "side", "HEAD"].map(rev);
    let in_history = |path: &str| {
        let found = scan(&sandbox, &["--git", path]);
        let found = found.into_iter().filter(|it| !it["commit"].is_null());
        found
            .map(|it| {
                let text = |key: &str| it[key].as_str().unwrap().to_owned();
                (text("password_id"), text("file"), text("commit"))
            })
            .collect::<BTreeSet<_>>()
    };
    let found = in_history(&repo);
    let entry = |n: usize, file: &str, commit: &str| {
        (texts[n].1.clone(), file.to_owned(), commit.to_owned())
    };
    assert!(
        found.contains(&entry(0, &format!("{repo}/conf/ä.env"), &first)),
        "{found:?}"
    );
    assert!(
        found.contains(&entry(1, &format!("{repo}/two"), &side)),
        "{found:?}"
    );
    assert!(found.contains(&entry(3, &repo, &message)), "{found:?}");
    assert!(
        found.iter().any(|(id, ..)| *id == texts[2].1),
        "what was reset away: {found:?}"
    );
    let bare = in_history(&repo.replace("/repo", "/bare.git"));
    assert_eq!(bare.len(), 3, "{bare:?}");
    let shallow = in_history(&repo.replace("/repo", "/shallow"));
    assert_eq!(
        shallow.iter().map(|(id, ..)| id).collect::<Vec<_>>().len(),
        2,
        "{shallow:?}"
    );
    let run = sandbox.run(&["scan", &repo]);
    assert!(run.stderr.contains("--git does that"), "{run:?}");
    // One of its objects is gone.
    sh(
        &repo,
        "git unpack-objects -q < /dev/null 2>/dev/null || true; cp ../one lost; git add lost
        chmod u+w .git/objects/*/*; o=$(git rev-parse :lost); git hash-object -w --stdin < ../two > /dev/null
        printf broken > .git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-) || true",
    );
    let broken = sandbox.run(&["scan", "--git", "--json", &repo]);
    assert_eq!(broken.code, 7);
    assert!(
        broken.stdout.contains(&side),
        "the rest is searched: {broken:?}"
    );
    let none = sandbox.run(&["scan", "--git", &folder(&sandbox, "none")]);
    assert_eq!(none.code, 1, "{none:?}");
}

/// And 100,000 in a long run.
#[test]
fn five_thousand_commits() {
    let commits = if is_long() { 100_000 } else { 5_000 };
    let sandbox = Sandbox::new();
    let repo = folder(&sandbox, "repo");
    let mut import = String::new();
    let mut planted = BTreeMap::new();
    for n in 0..commits {
        let mut text = format!("line {n}\n");
        if n % 100 == 7 {
            let (password, id) = password();
            let _ = writeln!(text, "{password}");
            planted.insert(id, n);
        }
        let message = format!("commit {n}");
        let _ = write!(
            import,
            "commit refs/heads/main\ncommitter a <a@example.com> {n} +0000\ndata {}\n{message}\n\
             M 100644 inline dir{}/file{}\ndata {}\n{text}\n",
            message.len(),
            n % 7,
            n % 300,
            text.len()
        );
    }
    fs::write(format!("{repo}/import"), import).unwrap();
    sh(
        &repo,
        "git init -q -b main .; git fast-import --quiet < import; rm import",
    );
    let found = scan(&sandbox, &["--git", &repo]);
    let log = sh(&repo, "git log --format='%H %s' main").stdout;
    let commits: BTreeMap<&str, &str> = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    assert_eq!(found.len(), planted.len());
    for it in &found {
        let n = planted[it["password_id"].as_str().unwrap()];
        assert_eq!(
            commits[it["commit"].as_str().unwrap()],
            format!("commit {n}")
        );
        assert_eq!(it["file"], format!("{repo}/dir{}/file{}", n % 7, n % 300));
        assert_eq!(it["line"], 2);
    }
}

/// Everything in a repository that makes git run a program.
fn make_hostile(repo: &str) {
    let ran = format!("{repo}/../ran");
    let script = format!("{repo}/../run");
    fs::write(&script, format!("#!/bin/sh\nid -un >> {ran}\n")).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    sh(
        repo,
        &format!(
            "git init -q -b main .; cp ../own own; git add own; git commit -qm x; cp ../own two; git add two
            for key in core.fsmonitor core.sshCommand core.pager core.editor core.alternateRefsCommand \
                diff.external core.askPass core.gitProxy filter.x.smudge filter.x.clean diff.x.textconv \
                gpg.program uploadpack.packObjectsHook sequence.editor; do git config $key {script}; done
            git config alias.cat-file '!{script}'; git config core.hooksPath $PWD/hooks
            git config remote.origin.url 'ext::{script}'; git config remote.origin.promisor true
            git config extensions.partialClone origin; git config log.showSignature true
            mkdir hooks; for hook in pre-commit post-index-change reference-transaction; do ln -s {script} hooks/$hook; done
            printf '* filter=x diff=x\\n' > .gitattributes"
        ),
    );
}

#[test]
fn p14_a_repository_makes_git_run_nothing() {
    let sandbox = Sandbox::new();
    let own = sandbox.create("shop@example.com");
    let repo = folder(&sandbox, "repo");
    fs::write(format!("{repo}/../own"), &own).unwrap();
    make_hostile(&repo);
    let ran = format!("{repo}/../ran");
    let _ = fs::remove_file(&ran);
    let history = scan(&sandbox, &["--git", &repo]);
    assert!(
        history.iter().any(|it| !it["commit"].is_null()),
        "{history:?}"
    );
    let staged = scan(&sandbox, &["--staged", &repo]);
    assert_eq!(staged.len(), 1, "{staged:?}");
    assert!(!Path::new(&ran).exists(), "{:?}", fs::read_to_string(&ran));
}

#[test]
fn p14_root_reads_a_repository_as_its_owner() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let top = sandbox.folder.path();
    fs::set_permissions(top, Permissions::from_mode(0o755)).unwrap();
    let repo = folder(&sandbox, "repo");
    let (text, id) = password();
    fs::write(format!("{repo}/../own"), text).unwrap();
    sh(
        &repo,
        "git init -q -b main .; cp ../own own; git add own; git commit -qm x; chmod -R go+rX .",
    );
    sh(top.to_str().unwrap(), "chown -R nobody:nogroup repo");
    give_to_nobody(Path::new(&repo));
    let found = scan(&sandbox, &["--git", &repo]);
    let history: Vec<_> = found
        .into_iter()
        .filter(|it| !it["commit"].is_null())
        .collect();
    assert_eq!(ids(&history), BTreeSet::from([id]));
    // Nor does root read a repository of others in its own folder, even if it trusts all of them.
    sh(
        top.to_str().unwrap(),
        "chown root:root repo; mkdir home; printf '[safe]\\n directory=*\\n' >home/.gitconfig",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtpcred"));
    command
        .env("HOME", top.join("home"))
        .args(["scan", "--git", &repo]);
    let run = finished(command.output().unwrap());
    assert!(run.stderr.contains("belong to different users"), "{run:?}");
    assert!(!run.stderr.contains("as root"), "{run:?}");
    // Another user than the owner gets an explanation.
    sh(top.to_str().unwrap(), "chown -R root:root repo");
    let mut command = as_nobody(program_in(top).to_str().unwrap());
    command
        .env("HOME", "/nonexistent")
        .args(["scan", "--git", &repo]);
    let run = finished(command.output().unwrap());
    assert!(run.stderr.contains("belongs to another user"), "{run:?}");
}

#[test]
fn an_object_that_git_cannot_read_is_said() {
    for damage in ["echo x >", "rm -f"] {
        let sandbox = Sandbox::new();
        let repo = folder(&sandbox, "repo");
        let (text, _) = password();
        fs::write(format!("{repo}/../own"), text).unwrap();
        let script = format!(
            "git init -q -b main .; cp ../own own; git add own; git commit -qm x; rm own
            object=$(git rev-parse HEAD:own | sed 's,^..,&/,'); chmod -R u+w .git/objects
            {damage} .git/objects/$object"
        );
        sh(&repo, &script);
        let run = sandbox.run(&["scan", "--git", &repo]);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stderr.contains("object"), "{run:?}");
    }
}

#[test]
fn what_is_staged_behind_a_lost_object_has_its_own_name() {
    let sandbox = Sandbox::new();
    let repo = folder(&sandbox, "repo");
    let (text, _) = password();
    fs::write(format!("{repo}/b"), text).unwrap();
    let script = "git init -q -b main .; echo lost >a; git add a b
        object=$(git rev-parse :a | sed 's,^..,&/,'); rm -f .git/objects/$object";
    sh(&repo, script);
    let run = sandbox.run(&["scan", "--staged", "--json", &repo]);
    assert_eq!(run.code, 7, "{run:?}");
    assert!(run.stdout.contains("/repo/b\""), "{run:?}");
}

#[test]
fn the_hook_refuses_a_commit_with_a_password() {
    let sandbox = Sandbox::new();
    let repo = folder(&sandbox, "repo");
    let own = sandbox.create("shop@example.com");
    fs::write(format!("{repo}/../own"), &own).unwrap();
    sh(&repo, "git init -q -b main .");
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/scanners/pre-commit");
    fs::copy(hook, format!("{repo}/.git/hooks/pre-commit")).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_smtpcred")).parent().unwrap();
    let commit = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("{script} && git -c user.name=a -c user.email=a@b commit -qm x -- . "),
            ])
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin:/usr/local/bin", bin.display()),
            )
            .env("SMTPCRED_STORE", sandbox.location())
            .current_dir(&repo);
        finished(command.stdin(Stdio::null()).output().unwrap())
    };
    // The first commit of a repository, and a later one, of only some files.
    let refused = commit("cp ../own env && git add .");
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(
        refused.stdout.contains("env:1") || refused.stderr.contains("env:1"),
        "{refused:?}"
    );
    assert_eq!(commit("echo x > env && git add .").code, 0);
    let refused = commit("cat ../own >> env");
    assert!(
        refused.stderr.contains("contains an SMTP password"),
        "{refused:?}"
    );
    assert_eq!(commit("echo y > env").code, 0);
}
