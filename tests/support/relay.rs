//! `smtpcred serve`, started as an init system starts it, and asked over its
//! sockets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smtpcred::model::hash::{Cost, Hasher};

use crate::support::{self, Sandbox, Server, leaks};

/// Longer than any answer takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running relay; its log is gathered.
pub struct Relay {
    pub server: Server,
    pub log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

pub fn auth_socket(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder.path().join("auth")
}

pub fn policy_socket(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder.path().join("policy")
}

/// What the tests of a relay give it, not run yet. `before` may be a program
/// that runs ours, with its own arguments.
pub fn command(sandbox: &Sandbox, before: &[&str], more: &[&str]) -> Command {
    let mut line: Vec<String> = before.iter().map(ToString::to_string).collect();
    line.push(support::PROGRAM.into());
    line.push("serve".into());
    if nix::unistd::geteuid().is_root() {
        line.push("--allow-root".into());
    }
    line.extend(more.iter().map(ToString::to_string));
    leaks::served(sandbox);
    sandbox.other_command(&line[0], &line[1..])
}

/// On both sockets, and ready.
pub fn start(sandbox: &Sandbox, before: &[&str], more: &[&str]) -> Relay {
    let (auth, policy) = (auth_socket(sandbox), policy_socket(sandbox));
    let sockets = [
        "--auth",
        auth.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ];
    Relay::run(command(sandbox, before, &[&sockets, more].concat()))
}

impl Relay {
    pub fn run(mut command: Command) -> Self {
        let child = command.stderr(Stdio::piped()).spawn();
        let mut server = Server(child.expect("the program runs"));
        let stderr = server.0.stderr.take().expect("a pipe");
        let log = Arc::new(Mutex::new(Vec::new()));
        let gathered = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                gathered.lock().unwrap().push(line);
            }
        });
        let mut relay = Self {
            server,
            log,
            reader: Some(reader),
        };
        support::wait_for("the relay to be ready", || {
            let ended = relay.server.0.try_wait().expect("ours");
            assert!(ended.is_none(), "it ended: {:?}", relay.log.lock().unwrap());
            (relay.count("ready: ") > 0).then_some(())
        });
        relay
    }

    /// How many lines of the log have this in it.
    pub fn count(&self, part: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(part)).count()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.server.0.id().cast_signed())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// In KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// What it has taken of the processors so far.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // Of the user and of the system: the 14th and the 15th field (proc(5)).
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks = rest.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 on Linux.
        Duration::from_millis(ticks * 10)
    }

    /// Its exit code and its log, once it has ended.
    pub fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = support::wait_for("the relay to end", || {
            self.server.0.try_wait().expect("ours")
        });
        self.reader.take().unwrap().join().expect("its log");
        let log = self.log.lock().unwrap().clone();
        (status.code(), log)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if std::thread::panicking() {
            eprintln!("-- the log of serve:\n{}", log.join("\n"));
        }
        leaks::look("the log of serve", log.join("\n").as_bytes());
    }
}

/// A mail server's connection to the relay.
pub struct Client {
    pub stream: BufReader<UnixStream>,
}

impl Client {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// To the auth socket, with the handshake done.
    pub fn auth(sandbox: &Sandbox) -> Self {
        Self::greeted(UnixStream::connect(auth_socket(sandbox)).expect("it listens"))
            .expect("a greeting")
    }

    pub fn policy(sandbox: &Sandbox) -> Self {
        Self::new(UnixStream::connect(policy_socket(sandbox)).expect("it listens"))
    }

    /// Nothing if it is hung up before.
    pub fn greeted(stream: UnixStream) -> Option<Self> {
        let mut client = Self::new(stream);
        while client.line()? != "DONE" {}
        client.send(b"VERSION\t1\t1\nCPID\t1\n").then_some(client)
    }

    /// False if the other side hung up.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Nothing if the other side hung up.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        // Hung up with something unread, it is a reset.
        let read = match self.stream.read_until(b'\n', &mut line) {
            Err(e) if e.kind() != std::io::ErrorKind::ConnectionReset => panic!("no answer: {e}"),
            other => other.unwrap_or(0),
        };
        (read > 0).then(|| {
            assert_eq!(
                line.pop(),
                Some(b'\n'),
                "a line that is not whole: {line:?}"
            );
            String::from_utf8(line).expect("UTF-8")
        })
    }

    /// What comes within this time although nobody asked; an empty one if it
    /// is hung up.
    pub fn unasked(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 4096];
        let found = match self.stream.read(&mut buffer) {
            Ok(read) => Some(buffer[..read].to_vec()),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some(Vec::new()),
        };
        self.stream
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        found
    }

    pub fn sign_in(&mut self, id: u32, username: &str, password: &str, address: &str) -> bool {
        self.send(request(id, username, password, address).as_bytes())
    }
}

/// As Postfix asks.
pub fn request(id: u32, username: &str, password: &str, address: &str) -> String {
    let response = STANDARD.encode(format!("\0{username}\0{password}"));
    format!(
        "AUTH\t{id}\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip={address}\tsecured\tresp={response}\n"
    )
}

/// Imports users with this password and a cheap hash.
pub fn import(sandbox: &Sandbox, count: u32, password: &str) {
    let salt = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let cheap = Cost { m: 8, t: 1, p: 1 };
    let hash = Hasher::default().hash(password.as_bytes(), cheap, salt);
    let hash = hash.unwrap().as_str().to_owned();
    let rows = (0..count).map(|i| format!("u{i}@example.com,\"{hash}\"\n"));
    let csv = format!("username,hash\n{}", rows.collect::<String>());
    let import = ["user", "import", "-", "--from", "csv"];
    let run = sandbox.run_with_stdin(&import, csv.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
}

/// Signs all of them in, one after another.
pub fn all_sign_in(client: &mut Client, count: u32, password: &str, id: &mut u32) {
    const AT_ONCE: u32 = 32;
    for first in (0..count).step_by(AT_ONCE as usize) {
        let users = first..count.min(first + AT_ONCE);
        let mut asked = String::new();
        for user in users.clone() {
            *id += 1;
            asked += &request(*id, &format!("u{user}@example.com"), password, "192.0.2.1");
        }
        client.send(asked.as_bytes());
        for _ in users {
            let answer = client.line();
            assert!(
                answer.as_ref().is_some_and(|line| line.starts_with("OK\t")),
                "{answer:?}"
            );
        }
    }
}

/// How many passwords serve remembers, and how many it has hashed since it started.
pub fn remembering(sandbox: &Sandbox) -> [u64; 2] {
    let mut client = Client::auth(sandbox);
    client.send(b"X-SMTPCRED-REMEMBERING\n");
    let line = client.line().expect("an answer");
    let fields: Vec<_> = line.split('\t').collect();
    [1, 5].map(|at| fields[at].parse().unwrap_or_else(|_| panic!("{line}")))
}

/// The one that is so much of the way up.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

/// Waits until `done`, and fails loudly if that takes too long.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
