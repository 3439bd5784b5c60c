//! `smtpcred serve`, with a store of its own.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::unistd::Uid;
use rusqlite::Connection;
use smtpcred::model::hash::{Cost, Hash, Hasher};

use crate::load::{self, Protocol, Set, Turn};
use crate::peers::Running;
use crate::support::Sandbox;

/// Users made by the program, with a password each that it knows.
pub struct Ours {
    pub sandbox: Sandbox,
    pub users: Vec<User>,
}

pub struct User {
    pub name: String,
    pub password: String,
}

impl Ours {
    /// So many, each hashed at the program's own cost.
    pub fn with_users(count: usize) -> Self {
        Self::in_sandbox(Sandbox::new(), count)
    }

    pub fn in_sandbox(sandbox: Sandbox, count: usize) -> Self {
        let users = (0..count).map(|i| {
            let name = format!("app-{i}@example.com");
            let password = format!("vague-Otter-61-h{i}");
            let args = ["user", "create", &name, "--password-stdin"];
            let run = sandbox.run_with_stdin(&args, password.as_bytes());
            assert_eq!(run.code, 0, "{}", run.stderr);
            User { name, password }
        });
        let users = users.collect();
        Self { sandbox, users }
    }

    pub fn store(&self) -> Connection {
        Connection::open(self.sandbox.store()).expect("a store")
    }

    /// More users, straight into the store: all with this hash.
    pub fn add(&self, prefix: &str, count: u32, hash: &str) {
        let mut store = self.store();
        let tx = store.transaction().expect("a store");
        for i in 0..count {
            let name = format!("{prefix}-{i}@example.com");
            tx.execute(
                "INSERT INTO users (username, domain, created_at) VALUES (?1, 'example.com', 1700000000)",
                [&name],
            )
            .expect("a user");
            tx.execute(
                "INSERT INTO passwords (username, password_id, hash, created_at)
                    VALUES (?1, 'K0000001', ?2, 1700000000)",
                [&name, hash],
            )
            .expect("a password");
        }
        tx.commit().expect("a store");
    }

    pub fn hash_of(&self, user: &User) -> String {
        let sql = "SELECT hash FROM passwords WHERE username = ?1";
        self.store()
            .query_row(sql, [&user.name], |row| row.get(0))
            .expect("a password")
    }

    pub fn serve(&self) -> Serve {
        let folder = self.sandbox.folder.path();
        let (auth, policy) = (folder.join("auth"), folder.join("policy"));
        let mut command = self.sandbox.command(&["serve", "--auth"]);
        command.arg(&auth).arg("--policy").arg(&policy);
        if Uid::effective().is_root() {
            command.arg("--allow-root");
        }
        let log = folder.join("serve.log");
        let ready = || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.lines().any(|line| line.starts_with("ready:"))
        };
        Serve {
            running: Running::start(&mut command, log.clone(), ready),
            auth,
            policy,
        }
    }
}

pub struct Serve {
    pub running: Running,
    pub auth: PathBuf,
    pub policy: PathBuf,
}

/// Sign-ins as Postfix passes them on, in turn; without what differs each time.
pub struct SignIns(Vec<String>);

impl SignIns {
    pub fn of<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let tails = users.into_iter();
        Self(
            tails
                .map(|(name, password)| tail(name, password, "192.0.2.1"))
                .collect(),
        )
    }

    pub fn users(users: &[User]) -> Self {
        Self::of(users.iter().map(|user| (&*user.name, &*user.password)))
    }

    /// Over and over.
    pub fn repeated(&self) -> impl FnMut(Turn, &mut Vec<u8>) -> bool {
        let mut tails = self.0.iter().cycle();
        move |turn, out| {
            let tail = tails.next().expect("some users");
            write_request(turn, tail, out);
            true
        }
    }

    /// Each once.
    pub fn once(&self) -> impl FnMut(Turn, &mut Vec<u8>) -> bool {
        let mut tails = self.0.iter();
        move |turn, out| {
            let tail = tails.next();
            if let Some(tail) = tail {
                write_request(turn, tail, out);
            }
            tail.is_some()
        }
    }

    /// Signs every user in; all have to get in.
    pub fn all_at(&self, socket: &std::path::Path) {
        let mut source = self.once();
        let set = good(socket, 16, &mut source);
        assert_eq!(load::all(set) as usize, self.0.len());
    }
}

/// A hash at the lowest cost.
pub fn cheap_hash(password: &str) -> Hash {
    let cheap = Cost { m: 8, t: 1, p: 1 };
    let salt = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    Hasher::default()
        .hash(password.as_bytes(), cheap, salt)
        .expect("a hash")
}

/// The attributes of a request, its password at the end.
pub fn tail(name: &str, password: &str, address: &str) -> String {
    let response = STANDARD.encode(format!("\0{name}\0{password}"));
    format!(
        "\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip={address}\tsecured\tresp={response}\n"
    )
}

pub fn write_request(turn: Turn, tail: &str, out: &mut Vec<u8>) {
    use std::io::Write as _;
    write!(out, "AUTH\t{}{tail}", turn.number).expect("memory");
}

/// Connections that sign in, with one request outstanding on each as Postfix
/// has it, and get in.
pub fn good<'a>(
    socket: &'a std::path::Path,
    connections: usize,
    source: &'a mut dyn FnMut(Turn, &mut Vec<u8>) -> bool,
) -> Set<'a> {
    Set {
        socket,
        protocol: Protocol::Auth,
        connections,
        outstanding: 1,
        good: "OK\t",
        source,
    }
}
