//! `smtpcred serve` as an unprivileged user, on a store that is its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::mail::exim::{self, Exim};
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::mail::{Place, open};
use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::{Sandbox, leaks, wait_for};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A store with the domain example.com that belongs to nobody. Commands that
/// root runs on it leave it so.
pub fn store() -> Sandbox {
    let sandbox = Sandbox::empty();
    own(&sandbox);
    sandbox
}

/// Postfix as `show-server-config` sets it up for the sockets of the place.
pub fn postfix<'a>(sandbox: &Sandbox, place: &'a Place) -> Postfix<'a> {
    let [auth, policy] = Setup::sockets(place, false);
    let command = ["show-server-config", "postfix"];
    let sockets = ["--auth", &auth, "--policy", &policy];
    let mut setup = Setup::shipped(false, &sandbox.ok(&[&command[..], &sockets].concat()));
    // A process that starts while serve is gone ends; not for a minute here.
    setup.main += "service_throttle_time = 1s\n";
    Postfix::start(place, &setup)
}

/// Exim as `show-server-config` sets it up for the sockets of the place.
pub fn exim<'a>(sandbox: &Sandbox, place: &'a Place) -> Exim<'a> {
    let [auth, policy] = [place.auth(), place.policy()].map(|path| path.display().to_string());
    let command = ["show-server-config", "exim"];
    let shown = sandbox.ok(&[&command[..], &["--auth", &auth, "--policy", &policy]].concat());
    Exim::start(place, &exim::Setup::shipped(&shown))
}

/// The same in a folder that is there.
pub fn own(sandbox: &Sandbox) {
    sandbox.noted(&["domain", "add", "example.com"]);
    if sandbox.database.is_none() {
        own_again(sandbox);
    }
}

/// What root made in it is nobody's, too.
pub fn own_again(sandbox: &Sandbox) {
    open(sandbox.folder.path(), 0o755);
    let data = sandbox.store().parent().expect("a folder").to_owned();
    give_to_nobody(&data);
    for file in fs::read_dir(&data).expect("our folder") {
        give_to_nobody(&file.expect("our folder").path());
    }
}

/// Runs SQL as an admin with the engine's own program would.
pub fn sql(sandbox: &Sandbox, statement: &str) {
    sandbox.sql(statement);
}

/// All that was sent is `age` seconds older now.
pub fn age_counts(sandbox: &Sandbox, age: u32) {
    // First, what was counted ahead and not sent has to be back in its place.
    settled(sandbox);
    sql(sandbox, &format!("UPDATE counts SET at = at - {age}"));
}

/// The overlap of an hour that was just begun has two seconds left.
pub fn end_soon(sandbox: &Sandbox) {
    sql(
        sandbox,
        "UPDATE passwords SET retires_at = retires_at - 3598 WHERE retires_at > created_at",
    );
}

/// Waits until nothing is counted but what was sent.
pub fn settled(sandbox: &Sandbox) {
    const COUNTED: &str = "SELECT CASE WHEN
            (SELECT sum(messages) FROM counts WHERE owner = '' AND span = 'day')
            = (SELECT sum(messages) FROM usage) THEN 'same' ELSE 'other' END";
    wait_for("the counts to be what was sent", || {
        (sandbox.texts(COUNTED) == ["same"]).then_some(())
    });
}

pub struct Serve<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
}

impl<'a> Serve<'a> {
    pub fn start(sandbox: &'a Sandbox, place: &Place) -> Self {
        Self::start_with(sandbox, place, &[])
    }

    /// On the sockets of the place; returns once they listen.
    pub fn start_with(sandbox: &'a Sandbox, place: &Place, more: &[&str]) -> Self {
        let socket = |path: &Path| format!("{},mode=0666", path.display());
        let [auth, policy] = [place.auth(), place.policy()].map(|path| socket(&path));
        let mut args = vec!["serve".into(), "--auth".into(), auth];
        args.extend(["--policy".into(), policy]);
        args.extend(more.iter().map(ToString::to_string));
        let log = place.path().join("serve.log");
        // It runs itself anew, as nobody.
        let program = program_in(place.path());
        let child = spawn(sandbox, &program, &args, &log);
        let mut serve = Self {
            sandbox,
            child,
            program,
            args,
            log,
        };
        serve.wait_ready(1);
        serve
    }

    /// All it has logged so far, in all its lives.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has logged this: a thread of its own writes the lines.
    pub fn logs(&self, text: &str) {
        wait_for(text, || self.log().contains(text).then_some(()));
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process id"))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    fn lives(&self) -> usize {
        let ready = |line: &&str| line.starts_with("ready: ");
        self.log().lines().filter(ready).count()
    }

    /// Ready for the so manieth time.
    fn wait_ready(&mut self, times: usize) {
        wait_for("serve to be ready", || {
            if let Some(status) = self.child.try_wait().expect("our child") {
                panic!("serve has ended: {status}\n{}", self.log());
            }
            (self.lives() >= times).then_some(())
        });
    }

    /// In place: the process stays.
    pub fn restart_in_place(&mut self) {
        let lives = self.lives();
        self.signal(Signal::SIGUSR2);
        self.wait_ready(lives + 1);
    }

    /// Without a word.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("our child");
    }

    /// Asks it to end; it must do so well.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = wait_for("serve to end", || self.child.try_wait().expect("ours"));
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// After [`Self::kill`] or [`Self::stop`].
    pub fn start_again(&mut self) {
        let lives = self.lives();
        self.child = spawn(self.sandbox, &self.program, &self.args, &self.log);
        self.wait_ready(lives + 1);
    }
}

fn spawn(sandbox: &Sandbox, program: &Path, args: &[String], log: &Path) -> Child {
    leaks::served(sandbox);
    let out = File::options().create(true).append(true).open(log);
    as_nobody(program.to_str().expect("UTF-8"))
        .args(args)
        .env("SMTPCRED_STORE", sandbox.location())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(out.expect("a log"))
        .spawn()
        .expect("serve runs")
}

impl Drop for Serve<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("-- the end of the log of serve:\n{}", last.join("\n"));
        } else {
            leaks::look_into(&self.log);
        }
    }
}

/// What came of asking on a socket; nothing where it was hung up on.
pub type Answer<T> = std::io::Result<Option<T>>;

/// As Postfix and Exim speak to the socket for sign-ins.
pub struct Auth {
    stream: BufReader<UnixStream>,
    id: u32,
}

impl Auth {
    pub fn connect(socket: &Path) -> std::io::Result<Self> {
        Self::connect_as(socket, 77)
    }

    /// As this process of a mail server.
    pub fn connect_as(socket: &Path, process: u32) -> std::io::Result<Self> {
        let mut stream = connect(socket)?;
        let hello = format!("VERSION\t1\t0\nCPID\t{process}\n");
        stream.get_mut().write_all(hello.as_bytes())?;
        let mut line = String::new();
        while line != "DONE\n" {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self { stream, id: 0 })
    }

    /// Whether the password is right.
    pub fn plain(&mut self, address: &str, user: &str, password: &str) -> Answer<bool> {
        self.id += 1;
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        let id = self.id;
        let line = format!(
            "AUTH\t{id}\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip={address}\tsecured\t\
             resp={response}\n"
        );
        let Some(answer) = self.answer(&line)? else {
            return Ok(None);
        };
        if answer == format!("OK\t{id}\tuser={user}\n") {
            return Ok(Some(true));
        }
        assert_eq!(answer, format!("FAIL\t{id}\n"));
        Ok(Some(false))
    }

    /// The same for Dovecot, which says more than we do.
    pub fn ask(&mut self, user: &str, password: &str) -> std::io::Result<bool> {
        self.ask_for("smtp", user, password)
    }

    /// The same for another service than a mail server's.
    pub fn ask_for(&mut self, service: &str, user: &str, password: &str) -> std::io::Result<bool> {
        self.id += 1;
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        let id = self.id;
        let line = format!("AUTH\t{id}\tPLAIN\tservice={service}\tsecured\tresp={response}\n");
        let answer = self.answer(&line)?.expect("an answer");
        let said = answer.strip_prefix(&format!("OK\t{id}\tuser={user}"));
        let right = said.is_some_and(|more| more.starts_with(['\t', '\n']));
        assert!(
            right || answer.starts_with(&format!("FAIL\t{id}\t")),
            "{answer}"
        );
        assert!(!answer.contains("temp"), "{answer}");
        Ok(right)
    }

    /// In two steps, for what cannot be said in one.
    pub fn login(&mut self, address: &str, user: &str, password: &str) -> Answer<bool> {
        self.id += 1;
        let id = self.id;
        let begin = format!("AUTH\t{id}\tLOGIN\tservice=smtp\tnologin\trip={address}\tsecured\n");
        let mut said = self.answer(&begin)?;
        for word in [user, password] {
            let Some(asked) = said else { return Ok(None) };
            assert!(asked.starts_with(&format!("CONT\t{id}\t")), "{asked}");
            said = self.answer(&format!("CONT\t{id}\t{}\n", STANDARD.encode(word)))?;
        }
        Ok(said.map(|said| said.starts_with("OK\t")))
    }

    fn answer(&mut self, line: &str) -> Answer<String> {
        let mut answer = String::new();
        let asked = self.stream.get_mut().write_all(line.as_bytes());
        let read = asked.and_then(|()| self.stream.read_line(&mut answer));
        Ok((hung_up(read)? > 0).then_some(answer))
    }
}

/// As Postfix speaks to the policy socket.
pub struct Policy(BufReader<UnixStream>);

impl Policy {
    pub fn connect(socket: &Path) -> std::io::Result<Self> {
        connect(socket).map(Self)
    }

    /// The action, for a message of this user to this recipient.
    pub fn ask(&mut self, state: &str, user: &str, to: &str, instance: &str) -> Answer<String> {
        let recipient = if state == "RCPT" { to } else { "" };
        let count = u32::from(state != "RCPT");
        self.say(&format!(
            "protocol_state={state}\nclient_address=127.0.0.1\n\
             sender={user}\nrecipient={recipient}\nrecipient_count={count}\n\
             instance={instance}\nsize=100\nsasl_username={user}\n"
        ))
    }

    /// The action, for these attributes.
    pub fn say(&mut self, attributes: &str) -> Answer<String> {
        let request = format!("request=smtpd_access_policy\n{attributes}\n");
        let mut answer = String::new();
        let mut asked = self.0.get_mut().write_all(request.as_bytes());
        while !answer.ends_with("\n\n") {
            let asked = std::mem::replace(&mut asked, Ok(()));
            let read = asked.and_then(|()| self.0.read_line(&mut answer));
            if hung_up(read)? == 0 {
                assert_eq!(answer, "", "half an answer");
                return Ok(None);
            }
        }
        let action = answer.strip_prefix("action=").expect("an action");
        Ok(Some(action.trim_end().to_owned()))
    }
}

/// Whoever asks while it is hung up on is told so in one of these ways.
fn hung_up(read: std::io::Result<usize>) -> std::io::Result<usize> {
    match read {
        Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(0),
        read => read,
    }
}

fn connect(socket: &Path) -> std::io::Result<BufReader<UnixStream>> {
    let stream = UnixStream::connect(socket)?;
    // Longer than any answer may take.
    stream.set_read_timeout(Some(Duration::from_secs(12)))?;
    Ok(BufReader::new(stream))
}
