//! A sound set-up for `smtpcred doctor`: a store, `smtpcred serve`, a mail server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::mail::postfix::Postfix;
use crate::support::mail::tls::HOST;
use crate::support::mail::{Place, open};
use crate::support::serve::{Serve, postfix, store};
use crate::support::{Run, Sandbox, finished};

pub const USER: &str = "shop@example.com";

/// What is not `ok` and follows from nothing else: state, area and check, as in "fail store mode".
pub type Complaints = BTreeSet<String>;

pub struct Ground<'a> {
    pub sandbox: &'a Sandbox,
    pub place: &'a Place,
    /// What doctor is told each time.
    pub args: Vec<String>,
    pub trusts: PathBuf,
    path: String,
}

impl<'a> Ground<'a> {
    /// With a system that says that its clock is synchronised and that no timer is
    /// active, whatever this one would say.
    pub fn new(sandbox: &'a Sandbox, place: &'a Place, server: &str, config: &Path) -> Self {
        let programs = place.path().join("programs");
        fs::create_dir(&programs).unwrap();
        sandbox.noted(&["set-settings", "--host", HOST]);
        let path = std::env::var("PATH").unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut args: Vec<String> = ["doctor", "--json", "--server", server, "--config"]
            .map(str::to_owned)
            .into();
        args.push(text(config));
        for (flag, socket) in [("--auth", place.auth()), ("--policy", place.policy())] {
            args.extend([flag.to_owned(), text(&socket)]);
        }
        let ground = Self {
            sandbox,
            place,
            args,
            trusts: place.certificate.file.clone(),
            path: format!("{}:{path}", programs.display()),
        };
        ground.says("timedatectl", "yes");
        ground.says("systemctl", "inactive");
        ground
    }

    /// The same set-up; doctor is told something else.
    pub fn with_args(&self, args: Vec<String>) -> Self {
        Self {
            args,
            trusts: self.trusts.clone(),
            path: self.path.clone(),
            ..*self
        }
    }

    pub fn ports(mut self, submission: u16, submissions: u16) -> Self {
        let ports = [
            format!("{submission}/starttls"),
            format!("{submissions}/tls"),
        ];
        for port in ports {
            self.args.extend(["--port".to_owned(), port]);
        }
        self
    }

    /// Programs of this folder come first.
    pub fn with_programs(mut self, folder: &Path) -> Self {
        self.path = format!("{}:{}", folder.display(), self.path);
        self
    }

    /// What a program of the system prints.
    pub fn says(&self, program: &str, text: &str) {
        let file = self.place.path().join("programs").join(program);
        fs::write(&file, format!("#!/bin/sh\necho {text}\n")).unwrap();
        open(&file, 0o755);
    }

    pub fn command(&self, args: &[String]) -> Command {
        self.with_system(self.sandbox.command(args))
    }

    pub fn with_system(&self, mut command: Command) -> Command {
        command.env("PATH", &self.path);
        command.env("SSL_CERT_FILE", &self.trusts);
        command
    }

    pub fn run(&self) -> (Complaints, Run) {
        self.run_with(&self.args)
    }

    pub fn run_with(&self, args: &[String]) -> (Complaints, Run) {
        let run = finished(self.command(args).output().expect("the program runs"));
        (complaints(&run), run)
    }

    /// All is well.
    pub fn is_sound(&self) {
        let (found, run) = self.run();
        assert!(found.is_empty(), "{found:#?}\n{}", run.stdout);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    }

    /// The same with other arguments.
    pub fn is_sound_with(&self, args: &[String]) {
        let (found, run) = self.run_with(args);
        assert!(found.is_empty(), "{found:#?}\n{}", run.stdout);
    }

    /// What is wrong is said, with what to do, and nothing else is complained
    /// about.
    #[track_caller]
    pub fn complains(&self, case: &str, wanted: &[&str]) {
        self.complains_with(case, &self.args, wanted);
    }

    #[track_caller]
    pub fn complains_with(&self, case: &str, args: &[String], wanted: &[&str]) {
        let (found, run) = self.run_with(args);
        let wanted: Complaints = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{case}:\n{}{}", run.stdout, run.stderr);
        let fails = wanted.iter().any(|one| one.starts_with("fail "));
        assert_eq!(run.code, if fails { 1 } else { 7 }, "{case}");
    }

    /// The arguments with another one after this flag.
    pub fn instead(&self, flag: &str, value: &str) -> Vec<String> {
        let mut args = self.args.clone();
        let at = args.iter().position(|arg| arg == flag).expect("a flag");
        value.clone_into(&mut args[at + 1]);
        args
    }
}

pub fn complaints(run: &Run) -> Complaints {
    let lines: Value = serde_json::from_str(&run.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}\n{}", run.stdout, run.stderr));
    let (mut found, mut causes) = (Complaints::new(), Vec::new());
    for line in lines.as_array().unwrap() {
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{line}"));
        assert!(!text("found").is_empty(), "{line}");
        if text("state") == "ok" {
            assert!(line["advice"].is_null(), "{line}");
            continue;
        }
        let said = format!("{} {} {}", text("state"), text("area"), text("check"));
        if let Some(because) = line["because"].as_str() {
            assert_eq!(text("state"), "warn", "{line}");
            causes.push(because.to_owned());
            continue;
        }
        assert!(!text("advice").is_empty(), "nothing to do: {line}");
        assert!(found.insert(said), "said twice: {line}");
    }
    for cause in causes {
        let said = |state| found.contains(&format!("{state} {cause}"));
        assert!(
            said("fail") || said("warn"),
            "{cause} is no trouble: {found:?}"
        );
    }
    found
}

/// Changes a file for as long as this lives.
pub struct Changed {
    path: PathBuf,
    before: Vec<u8>,
}

impl Changed {
    pub fn write(path: &Path, text: &[u8]) -> Self {
        let before = fs::read(path).unwrap();
        fs::write(path, text).unwrap();
        let path = path.to_owned();
        Self { path, before }
    }

    pub fn replace(path: &Path, part: &str, instead: &str) -> Self {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(part), "no {part} in {text}");
        Self::write(path, text.replace(part, instead).as_bytes())
    }

    pub fn append(path: &Path, more: &str) -> Self {
        let text = fs::read_to_string(path).unwrap();
        Self::write(path, (text + more).as_bytes())
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        fs::write(&self.path, &self.before).expect("our file");
    }
}

/// Sets a mode for as long as this lives.
pub struct Mode {
    path: PathBuf,
    before: u32,
}

impl Mode {
    pub fn set(path: &Path, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let before = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        open(path, mode);
        let path = path.to_owned();
        Self { path, before }
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        open(&self.path, self.before);
    }
}

/// A sound set-up with Postfix, for a test.
pub fn with_postfix(test: impl FnOnce(&Ground, &mut Serve, &Postfix)) {
    let sandbox = store();
    sandbox.create(USER);
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let ground = Ground::new(&sandbox, &place, "postfix", &postfix.config)
        .ports(postfix.submission, postfix.submissions);
    ground.is_sound();
    test(&ground, &mut serve, &postfix);
    ground.is_sound();
}
