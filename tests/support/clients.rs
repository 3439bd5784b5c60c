//! How each client of `show-settings --for` is run with its snippet: as its own
//! documentation says, or, for what no package has, by what stands beneath it. The
//! files beside this one are what a client needs around its snippet.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::mail::{exim, open};
use crate::support::world::{USER, World, tool};
use crate::support::{PROGRAM, Run, finished};

/// Those of `tests/support/fetch-clients`.
pub const FETCHED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/clients");

const MAIL: &str = "Subject: A test mail\n\nIt works.\n";

const PATCH: &str = "From 0000000 Mon Sep 17 00:00:00 2001
From: A <a@example.net>
Date: Sat, 21 Nov 2026 10:00:00 +0000
Subject: [PATCH] A test

---
";

/// What has to be around a snippet.
macro_rules! beside {
    ($name:literal) => {
        include_str!(concat!("clients/", $name))
    };
}

/// A snippet in a folder that is a client's home.
struct Job<'a> {
    world: &'a World<'a>,
    home: &'a Path,
    snippet: &'a str,
    to: &'a str,
}

/// Runs the client on this snippet to its end.
pub fn send(world: &World, client: &str, home: &Path, snippet: &str, to: &str) -> Run {
    let job = Job {
        world,
        home,
        snippet,
        to,
    };
    let mut command = match client {
        "phpmailer" | "symfony-mailer" | "laravel" | "wordpress" | "nextcloud" => job.php(client),
        "python" | "django" | "flask-mail" => job.python(client),
        "nodemailer" | "env" | "json" => job.node(client),
        "rails" | "gitlab" => job.ruby(client),
        "go" | "java" | "rust" => job.compiled(client),
        "postfix" => job.postfix(),
        "exim" => job.exim(),
        tool => job.tool(tool),
    };
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("coreutils");
    // Most do not read it.
    let _ = child.stdin.take().unwrap().write_all(MAIL.as_bytes());
    let run = finished(child.wait_with_output().unwrap());
    let said = &run.stderr;
    assert!(
        run.code != 127 && run.code != 126,
        "{client} is missing ({said}): run tests/run"
    );
    run
}

impl Job<'_> {
    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, program: &str, args: &[&str]) -> Command {
        self.world.command(self.home, program, args)
    }

    /// A file for a client's eyes only, as `--output` makes it.
    fn secret(&self, path: &str, owner: &str, mode: u32) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, format!("{}\n", self.world.password.get())).unwrap();
        tool("chown", &[owner, path]);
        open(Path::new(path), mode);
    }

    fn php(&self, client: &str) -> Command {
        let autoload = |path: &str| {
            let text = format!("<?php require '/usr/share/php/{path}/autoload.php';");
            self.put("vendor/autoload.php", &text);
        };
        let script = match client {
            "phpmailer" => {
                autoload("libphp-phpmailer");
                self.put("mail.php", self.snippet)
            }
            "symfony-mailer" => {
                autoload("Symfony/Component/Mailer");
                self.put("mail.php", self.snippet)
            }
            "laravel" => {
                self.put(".env", self.snippet);
                self.put("laravel.php", beside!("laravel.php"))
            }
            "wordpress" => {
                self.put("wp-config.php", &format!("<?php\n{}", self.snippet));
                self.put("wordpress.php", beside!("wordpress.php"))
            }
            _ => {
                self.put("smtp.config.php", self.snippet);
                self.put("nextcloud.php", beside!("nextcloud.php"))
            }
        };
        self.run("php", &[script.to_str().unwrap(), self.to])
    }

    fn python(&self, client: &str) -> Command {
        // Its other programs know where they were put, and the folder may be moved.
        let fetched = format!("{FETCHED}/python/bin/python");
        match client {
            "python" => {
                self.put("mail.py", self.snippet);
                self.run("python3", &["mail.py", self.to])
            }
            "django" => {
                let settings = format!("SECRET_KEY = 'x'\n{}", self.snippet);
                self.put("settings.py", &settings);
                let args = ["-m", "django", "sendtestemail", self.to];
                let mut command = self.run(&fetched, &args);
                command
                    .env("PYTHONPATH", self.home)
                    .env("DJANGO_SETTINGS_MODULE", "settings");
                command
            }
            _ => {
                self.put("app.py", self.snippet);
                let args = ["-m", "flask", "--app", "app", "send-test", self.to];
                self.run(&fetched, &args)
            }
        }
    }

    fn node(&self, client: &str) -> Command {
        let mut command = match client {
            "nodemailer" => {
                self.put("mail.js", self.snippet);
                self.run("node", &["mail.js", self.to])
            }
            "env" => {
                self.put("smtp.env", self.snippet);
                self.put("app.js", beside!("url.js"));
                let script = ". ./smtp.env && exec node app.js \"$0\"";
                self.run("sh", &["-c", script, self.to])
            }
            _ => {
                self.put("smtp.json", self.snippet);
                self.put("app.js", beside!("json.js"));
                self.run("node", &["app.js", self.to])
            }
        };
        // It brings its own list of whom it trusts.
        command
            .env("NODE_PATH", format!("{FETCHED}/node/node_modules"))
            .env("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt");
        command
    }

    fn ruby(&self, client: &str) -> Command {
        if client == "rails" {
            self.put("production.rb", self.snippet);
            self.put("mail.rb", beside!("rails.rb"));
        } else {
            self.secret("/etc/gitlab/smtp.password", "root:root", 0o600);
            self.put("gitlab.rb", self.snippet);
            self.put("mail.rb", beside!("gitlab.rb"));
        }
        self.run("ruby", &["mail.rb", self.to])
    }

    fn compiled(&self, client: &str) -> Command {
        match client {
            "go" => {
                self.put("mail.go", self.snippet);
                let mut command = self.run("go", &["run", "mail.go", self.to]);
                command.env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go"));
                command
            }
            "java" => {
                self.put("Mail.java", self.snippet);
                let jars =
                    "/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar";
                let mut command = self.run("java", &["-cp", jars, "Mail.java", self.to]);
                // As the text says.
                command.env("LC_ALL", "C.UTF-8");
                command
            }
            _ => {
                let program = with_lettre(&self.put("main.rs", self.snippet));
                self.run(program.to_str().unwrap(), &[self.to])
            }
        }
    }

    fn tool(&self, client: &str) -> Command {
        match client {
            "msmtp" => {
                open(&self.put(".msmtprc", self.snippet), 0o600);
                self.run("msmtp", &[self.to])
            }
            "sendmail" => {
                self.secret("/etc/msmtp.password", "root:root", 0o640);
                fs::write("/etc/msmtprc", self.snippet).unwrap();
                let sendmail = self.home.join("sendmail");
                symlink("/usr/bin/msmtp", &sendmail).unwrap();
                // As cron calls it, and as whom.
                let mut args = vec!["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-f", "root"];
                args.push(self.to);
                self.run(sendmail.to_str().unwrap(), &args)
            }
            "swaks" | "curl" => {
                self.put("mail.sh", self.snippet);
                self.run("sh", &["mail.sh", self.to])
            }
            "git-send-email" => {
                self.put(".gitconfig", self.snippet);
                self.put("0001.patch", PATCH);
                let mut args = vec!["send-email", "--confirm=never", "--suppress-cc=all", "--to"];
                args.extend([self.to, "0001.patch"]);
                let mut command = self.run("git", &args);
                // It is somebody's.
                for who in ["GIT_AUTHOR", "GIT_COMMITTER"] {
                    command.env(format!("{who}_NAME"), "A");
                    command.env(format!("{who}_EMAIL"), "a@example.net");
                }
                command
            }
            other => panic!("nobody knows how to run {other}"),
        }
    }

    fn postfix(&self) -> Command {
        // Each time as it is installed.
        tool("rm", &["-rf", "/etc/postfix"]);
        tool("cp", &["-a", "/etc/postfix.installed", "/etc/postfix"]);
        self.put("relayhost.sh", self.snippet);
        self.put("postfix.sh", beside!("postfix.sh"));
        self.run("sh", &["postfix.sh", self.to])
    }

    fn exim(&self) -> Command {
        self.secret("/etc/exim4/smtp.password", "root:Debian-exim", 0o640);
        tool("chown", &["Debian-exim:", self.home.to_str().unwrap()]);
        let copied = fs::copy(exim::PROGRAM, self.home.join("exim4"));
        copied.unwrap_or_else(|e| panic!("{}: {e}: run tests/run", exim::PROGRAM));
        self.put("exim.conf", &with_exim_parts(self.home, self.snippet));
        // What could not be sent stays in the queue.
        let script = "./exim4 -C $PWD/exim.conf -odf -f root@client.test $0
            cat mainlog; test -z \"$(./exim4 -C $PWD/exim.conf -bp)\"";
        self.run("sh", &["-c", script, self.to])
    }
}

/// Each part of the snippet where it says.
fn with_exim_parts(home: &Path, snippet: &str) -> String {
    let mut parts = snippet
        .split("\n# ")
        .filter(|part| part.starts_with(['1', '2', '3']));
    let mut part = || format!("# {}", parts.next().expect("three parts"));
    beside!("exim.conf")
        .replace("{home}", home.to_str().unwrap())
        .replace("{1}", &part())
        .replace("{2}", &part())
        .replace("{3}", &part())
}

/// With what cargo built for this very test: lettre is one of our own crates.
fn with_lettre(source: &Path) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap().to_owned();
    let mut rlibs: Vec<PathBuf> = fs::read_dir(&deps)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("liblettre-") && name.ends_with(".rlib")
        })
        .collect();
    // There may be others, of earlier builds with other features.
    rlibs.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().modified().unwrap()));
    let program = source.with_extension("");
    let mut said = format!("no lettre beside {}, nor {PROGRAM}", test.display());
    for rlib in rlibs {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2021", "-L"]);
        rustc.arg(format!("dependency={}", deps.display()));
        rustc
            .arg("--extern")
            .arg(format!("lettre={}", rlib.display()));
        rustc.arg("-o").arg(&program).arg(source);
        let run = finished(rustc.output().expect("rustc"));
        if run.code == 0 {
            return program;
        }
        said = run.stderr;
    }
    panic!("{USER}: {said}");
}
