//! A machine of its own for one test: a network with nothing but the loopback, on
//! which Postfix has the real ports, and a copy of /etc that names the relay and
//! trusts its certificate. So a snippet is run as it is, to the letter.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use regex::Regex;

use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::mail::tls::{Certificate, HOST};
use crate::support::mail::{Place, open};
use crate::support::serve::{Serve, store};
use crate::support::{Run, Sandbox, finished, wait_for};

/// All that a name may have in it.
pub const USER: &str = "o'shop.one_two+three-4!#%&=^~@example.com";
/// Another name of the relay, which its certificate has not.
pub const OTHER_HOST: &str = "other.test";
/// The port on which an attacker keeps STARTTLS from the client.
pub const STRIPPED: u16 = 2525;

/// What means something in a shell, a URL, a configuration or a string of some
/// language, and letters beyond ASCII.
pub const PASSWORD: &str =
    r#"a/b+c%41:d@e"f'g\n $HOME ${x} #{y} `z` ^h^^i; &j|k <l> {m} [n] (o) *?~! =,.é€漢🐙"#;

/// What means something at the beginning or the end.
pub const EDGES: &str = r##"-@%s<"#'vague Otter 61 harbour${'"\"##;

pub struct World<'a> {
    pub sandbox: &'a Sandbox,
    pub place: &'a Place,
    pub postfix: Postfix<'a>,
    pub password: Cell<&'static str>,
    /// Whether what a client executes is written down, in a file `trace`.
    pub traced: Cell<bool>,
    _serve: Serve<'a>,
}

/// Runs a test in a world of its own.
pub fn world(test: fn(&World)) {
    // What is taken apart here is this thread's and its children's alone.
    let inside = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .expect("root may: run tests/run");
        mounted(None, "/", MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        tool("ip", &["link", "set", "lo", "up"]);
        let sandbox = store();
        let place = Place::new();
        own_etc(&place);
        trust(&place.certificate);
        let serve = Serve::start(&sandbox, &place);
        let [auth, policy] = Setup::sockets(&place, false);
        let shown = [
            "show-server-config",
            "postfix",
            "--auth",
            &auth,
            "--policy",
            &policy,
        ];
        let setup = Setup::shipped(false, &sandbox.ok(&shown));
        let postfix = Postfix::start_on(&place, &setup, [25, 587, 465]);
        sandbox.noted(&["set-settings", "--host", HOST]);
        let create = ["user", "create", USER, "--password-stdin"];
        let created = sandbox.run_with_stdin(&create, PASSWORD.as_bytes());
        assert_eq!(created.code, 0, "{}", created.stderr);
        test(&World {
            sandbox: &sandbox,
            place: &place,
            postfix,
            password: Cell::new(PASSWORD),
            traced: Cell::new(false),
            _serve: serve,
        });
    });
    if let Err(panic) = inside.join() {
        std::panic::resume_unwind(panic);
    }
}

fn mounted(source: Option<&Path>, target: &str, flags: MsFlags) {
    mount(source, target, None::<&str>, flags, None::<&str>).expect("root may");
}

/// Must succeed.
pub fn tool(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let run = command.output();
    let run = finished(run.unwrap_or_else(|e| panic!("{program}: {e}: run tests/run")));
    assert_eq!(run.code, 0, "{program} {args:?}: {}", run.stderr);
    run.stdout
}

fn own_etc(place: &Place) {
    let etc = place.path().join("etc");
    tool("cp", &["-a", "/etc", etc.to_str().unwrap()]);
    tool(
        "cp",
        &[
            "-a",
            "/etc/postfix",
            etc.join("postfix.installed").to_str().unwrap(),
        ],
    );
    mounted(Some(&etc), "/etc", MsFlags::MS_BIND);
    let hosts = ["localhost", HOST, OTHER_HOST].map(|name| format!("127.0.0.1 {name}\n"));
    fs::write("/etc/hosts", hosts.concat()).unwrap();
}

/// Makes this certificate the one that everybody here trusts.
pub fn trust(certificate: &Certificate) {
    let certs = Path::new("/etc/ssl/certs");
    fs::remove_dir_all(certs).unwrap();
    fs::create_dir_all(certs.join("java")).unwrap();
    let bundle = certs.join("ca-certificates.crt");
    fs::copy(&certificate.file, &bundle).unwrap();
    let bundle = bundle.to_str().unwrap();
    let hash = tool("openssl", &["x509", "-noout", "-hash", "-in", bundle]);
    fs::copy(bundle, certs.join(format!("{}.0", hash.trim()))).unwrap();
    let java = "-importcert -noprompt -alias relay -storepass changeit -storetype JKS \
                -keystore /etc/ssl/certs/java/cacerts -file";
    let args: Vec<&str> = java.split_whitespace().chain([bundle]).collect();
    tool("keytool", &args);
}

impl World<'_> {
    /// Gives the user this password instead.
    pub fn reset(&self, password: &'static str) {
        let reset = ["user", "reset", USER, "--password-stdin"];
        let run = self.sandbox.run_with_stdin(&reset, password.as_bytes());
        assert_eq!(run.code, 0, "{}", run.stderr);
        self.password.set(password);
    }

    /// The snippet, as the program prints it.
    pub fn snippet(&self, client: &str, port: u16) -> String {
        let port = port.to_string();
        let show = ["show-settings", USER, "--for", client, "--port", &port];
        self.sandbox.ok(&show)
    }

    /// A new folder, which is the home of a client.
    pub fn home(&self, name: &str) -> PathBuf {
        let home = self.place.path().join(name);
        fs::create_dir(&home).unwrap();
        open(&home, 0o755);
        home
    }

    /// In that folder, with the password in the environment; no locale, as for a
    /// service.
    pub fn command(&self, home: &Path, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg("120");
        if self.traced.get() {
            command.args([
                "strace",
                "-f",
                "-qq",
                "-e",
                "trace=execve",
                "-s",
                "9999",
                "-o",
            ]);
            command.arg(home.join("trace"));
        }
        command
            .arg(program)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("SMTP_PASSWORD", self.password.get())
            .current_dir(home)
            .stdin(Stdio::null());
        command
    }

    /// Waits for the message to this recipient, which has to come from the user.
    pub fn arrived(&self, to: &str, client: &Run) {
        assert_eq!(client.code, 0, "{to}: {}{}", client.stdout, client.stderr);
        let delivered = format!(
            r"discard\[\d+\]: (\w+): to=<{}>,.*status=sent",
            regex::escape(to)
        );
        let delivered = Regex::new(&delivered).unwrap();
        let id = wait_for("the message", || {
            let log = self.postfix.log();
            Some(delivered.captures(&log)?[1].to_owned())
        });
        let log = self.postfix.log();
        let about = |part: &str| {
            let line = Regex::new(&format!("(?m){id}: {part}")).unwrap();
            assert!(line.is_match(&log), "{to}: no {part} in {log}");
        };
        about(&format!(
            "client=.* sasl_method=(PLAIN|LOGIN), sasl_username={}$",
            regex::escape(USER)
        ));
        about(&format!("from=<{}>", regex::escape(USER)));
    }

    /// The client saw something wrong and said nothing of the password.
    pub fn refused(&self, what: &str, to: &str, client: &Run) {
        let said = format!("{}{}", client.stdout, client.stderr);
        assert_ne!(client.code, 0, "{what}: {to}: {said}");
        assert_ne!(client.code, 124, "{what}: {to} hangs: {said}");
        assert!(!self.postfix.log().contains(to), "{what}: {to}");
    }
}

/// A server that keeps STARTTLS from its clients, and what it was told.
pub fn stripper() -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind(("127.0.0.1", STRIPPED)).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || strip(stream, &lines));
        }
    });
    told
}

fn strip(mut stream: TcpStream, told: &Mutex<Vec<String>>) {
    let mut say = {
        let mut stream = stream.try_clone().unwrap();
        move |line: &str| stream.write_all(format!("{line}\r\n").as_bytes())
    };
    let _ = say("220 mail.test ESMTP");
    for line in BufReader::new(&mut stream).lines().map_while(Result::ok) {
        let answer = match line.split(' ').next().unwrap().to_uppercase().as_str() {
            "EHLO" => "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            "HELO" => "250 mail.test",
            "STARTTLS" => "502 5.5.1 no such command",
            "AUTH" => "235 2.7.0 thank you",
            "QUIT" => "221 bye",
            "DATA" => "554 no",
            _ => "250 ok",
        };
        told.lock().unwrap().push(line);
        if say(answer).is_err() {
            return;
        }
    }
}
