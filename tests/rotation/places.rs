//! Rotation and files that have another user's password in them, which may be its
//! only place (promise 2).

use std::fs;

use rusqlite::Connection;

use crate::support::{Run, Sandbox};

const A: &str = "a@example.com";
const B: &str = "b@example.com";
const DUE: [&str; 3] = ["--due", "--older-than", "1d"];

/// Two users, and where the first one's password is.
struct Ground {
    sandbox: Sandbox,
    a: String,
    b: String,
}

impl Ground {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let [a, b] = [A, B].map(|name| sandbox.create(name));
        Self { sandbox, a, b }
    }

    /// Of two days ago.
    fn make_due(&self) {
        let store = Connection::open(self.sandbox.store()).unwrap();
        let sql = "UPDATE passwords SET created_at = unixepoch() - 172800 WHERE hash IS NOT NULL";
        assert_eq!(store.execute(sql, []).unwrap(), 2);
    }

    fn path(&self, name: &str) -> String {
        let path = self.sandbox.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn works(&self, username: &str, password: &str) -> bool {
        self.sandbox.verify(username, password) == 0
    }

    fn rotate(&self, who: &[&str], more: &[&str]) -> Run {
        let args = [&["user", "rotate"], who, more].concat();
        self.sandbox.run(&args)
    }

    /// Nobody else's password was replaced, and B's old one works.
    fn refused(&self, run: &Run, name: &str, before: &str) {
        assert_eq!(run.code, 4, "{run:?}");
        let said = format!(
            "{B} would overwrite the password of {A} in {}",
            self.path(name)
        );
        assert!(run.stderr.contains(&said), "{run:?}");
        assert_eq!(self.text(name), before);
        assert!(self.works(B, &self.b));
        assert_eq!(
            self.sandbox.json(&["user", "show", B])["passwords"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}

#[test]
fn p2_what_another_user_needs_is_not_replaced() {
    let ground = Ground::new();
    let mut a = ground.a.clone();
    for (name, before, after, args) in [
        ("pw", "", "\n", &["--write-file"][..]),
        ("env", "SMTP_PASSWORD=", "\n", &["--write-env"]),
        (
            "named",
            "A=1\n  export PW=",
            "\n",
            &["--env-name", "PW", "--write-env"],
        ),
        (
            "quoted",
            "PW=\"",
            "\" \n",
            &["--env-name", "PW", "--write-env"],
        ),
        (
            "url",
            "PW=smtp://a:",
            "@mail.example.com\n",
            &["--env-name", "PW", "--write-env"],
        ),
        ("env-as-a-file", "A=1\nPW='", "'\n", &["--write-file"]),
    ] {
        let text = format!("{before}{a}{after}");
        fs::write(ground.path(name), &text).unwrap();
        let path = ground.path(name);
        let to = [args, &[path.as_str()]].concat();
        ground.refused(&ground.rotate(&[B], &to), name, &text);
        // The same where the store says it.
        ground
            .sandbox
            .noted(&[&["user", "set", B][..], &to].concat());
        ground.refused(&ground.rotate(&[B], &[]), name, &text);
        let none = ["--write-file", "none", "--write-env", "none"];
        ground
            .sandbox
            .noted(&[&["user", "set", B][..], &none].concat());
        // To whom it belongs it goes.
        let run = ground.rotate(&[A], &[&to[..], &["--force"]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        let text = ground.text(name);
        a = text.trim_end().rsplit('=').next().unwrap().to_owned();
        assert!(ground.works(A, &a), "{text}");
    }
}

#[test]
fn p2_of_those_that_are_due_only_the_others_are_rotated() {
    let ground = Ground::new();
    let text = format!("{}\n", ground.a);
    fs::write(ground.path("pw"), &text).unwrap();
    let (theirs, own) = (ground.path("pw"), ground.path("own"));
    ground
        .sandbox
        .noted(&["user", "set", A, "--write-file", &own]);
    ground
        .sandbox
        .noted(&["user", "set", B, "--write-file", &theirs]);
    ground.make_due();
    let planned = ground
        .sandbox
        .json(&[&["user", "rotate"], &DUE[..], &["--dry-run"]].concat());
    assert_eq!(planned[0]["problem"].as_str(), None);
    let problem = planned[1]["problem"].as_str().unwrap();
    assert!(
        problem.contains("overwrite the password of a@example.com"),
        "{problem}"
    );
    let run = ground.rotate(&DUE, &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains(problem), "{run:?}");
    assert!(ground.works(A, ground.text("own").trim_end()));
    assert_eq!(ground.text("pw"), text);
    assert!(ground.works(B, &ground.b));
}

#[test]
fn p2_two_users_of_one_run_do_not_share_a_place() {
    let ground = Ground::new();
    fs::create_dir(ground.path("folder")).unwrap();
    std::os::unix::fs::symlink(ground.path("folder"), ground.path("link")).unwrap();
    let [one, two] = ["folder/pw", "link/pw"].map(|name| ground.path(name));
    ground
        .sandbox
        .noted(&["user", "set", A, "--write-file", &one]);
    ground
        .sandbox
        .noted(&["user", "set", B, "--write-file", &two]);
    ground.make_due();
    let run = ground.rotate(&DUE, &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(ground.works(A, ground.text("folder/pw").trim_end()));
    assert!(ground.works(B, &ground.b));
    // Variables of their own may be in one file.
    let env = ground.path("env");
    for (name, variable) in [(A, "A"), (B, "B")] {
        let to = [
            "--write-file",
            "none",
            "--write-env",
            &env,
            "--env-name",
            variable,
        ];
        ground
            .sandbox
            .noted(&[&["user", "set", name][..], &to].concat());
    }
    let run = ground.rotate(&[A, B], &["--force"]);
    assert_eq!(run.code, 0, "{run:?}");
    for line in ground.text("env").lines() {
        let (name, password) = line.split_once('=').unwrap();
        let username = if name == "A" { A } else { B };
        assert!(ground.works(username, password), "{line}");
    }
}

#[test]
fn what_nobody_needs_any_more_is_replaced() {
    let ground = Ground::new();
    let path = ground.path("pw");
    // Of a user that was deleted, of B's own past, cut off, and what is no password.
    ground.sandbox.noted(&["user", "delete", A, "--yes"]);
    let own = ground.b.clone();
    for text in [&ground.a, &own, &own[..20], "changeme", ""] {
        fs::write(&path, format!("{text}\n")).unwrap();
        let run = ground.rotate(&[B], &["--write-file", &path, "--force"]);
        assert_eq!(run.code, 0, "{text}: {run:?}");
        assert!(ground.works(B, ground.text("pw").trim_end()));
    }
}
