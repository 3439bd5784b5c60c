//! The load while a command runs: sign-ins and messages through `smtpcred serve`, and another
//! writer.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postgres::{Client, NoTls};
use rusqlite::Connection;

use crate::{Bench, KNOWN, PASSWORD};

/// As in src/store/postgres/mod.rs.
const LOCK: i64 = 0x736d_7470_6372_6564;
/// The interval of each measurement.
const PAUSE: Duration = Duration::from_millis(5);

pub struct Beside {
    serve: Child,
    seen: Arc<Mutex<All>>,
}

#[derive(Default)]
struct All {
    sign_ins: Vec<Duration>,
    lock: Duration,
    put_off: u32,
}

/// The measurements while one command ran.
pub struct Seen {
    pub sign_ins: usize,
    pub p99: Duration,
    /// The longest wait for it.
    pub lock: Duration,
    pub put_off: u32,
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.serve.kill();
        let _ = self.serve.wait();
    }
}

impl Beside {
    pub fn start(bench: &Bench) -> Self {
        let [auth, policy] = ["auth", "policy"].map(|name| bench.folder.join(name));
        let mut command = bench.command(&["serve", "--allow-root"]);
        command
            .arg("--auth")
            .arg(&auth)
            .arg("--policy")
            .arg(&policy);
        let serve = command.spawn().expect("it runs");
        let seen = Arc::new(Mutex::new(All::default()));
        let [own, other, third] = [(); 3].map(|()| Arc::clone(&seen));
        let (auth, policy) = (connected(&auth), connected(&policy));
        // They end with serve.
        thread::spawn(move || sign_in(auth, &own));
        thread::spawn(move || send(policy, &other));
        let store = bench.store.clone();
        thread::spawn(move || want_lock(&store, &third));
        let beside = Self { serve, seen };
        // The first sign-in computes a hash.
        thread::sleep(Duration::from_secs(1));
        beside
    }

    pub fn begin(&self) {
        *self.all() = All::default();
    }

    pub fn end(&self) -> Seen {
        let mut all = std::mem::take(&mut *self.all());
        all.sign_ins.sort_unstable();
        let count = all.sign_ins.len();
        Seen {
            sign_ins: count,
            p99: all
                .sign_ins
                .get(count * 99 / 100)
                .copied()
                .unwrap_or_default(),
            lock: all.lock,
            put_off: all.put_off,
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, All> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connected(socket: &Path) -> UnixStream {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
        }
        thread::sleep(PAUSE);
    }
}

fn note(seen: &Mutex<All>, note: impl FnOnce(&mut All)) {
    note(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
}

fn sign_in(mut stream: UnixStream, seen: &Mutex<All>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"VERSION\t1\t2\nCPID\t1\n")?;
    let mut answer = || lines.next().unwrap_or(Err(ErrorKind::UnexpectedEof.into()));
    while answer()? != "DONE" {}
    let response = STANDARD.encode(format!("\0{KNOWN}\0{PASSWORD}"));
    for number in 1_u32.. {
        let request = format!(
            "AUTH\t{number}\tPLAIN\tservice=smtp\tnologin\trip=192.0.2.1\tsecured\tresp={response}\n"
        );
        let began = Instant::now();
        stream.write_all(request.as_bytes())?;
        let said = answer()?;
        let took = began.elapsed();
        assert!(said.starts_with("OK\t"), "{said}");
        note(seen, |seen| seen.sign_ins.push(took));
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Messages of a user that has a limit.
fn send(mut stream: UnixStream, seen: &Mutex<All>) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut answer = || lines.next().unwrap_or(Err(ErrorKind::UnexpectedEof.into()));
    for number in 1_u32.. {
        let request = format!(
            "request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nprotocol_name=ESMTP\n\
            client_address=192.0.2.1\nsender={KNOWN}\nrecipient=one@elsewhere.example\n\
            recipient_count=1\nqueue_id=349B49B0101\ninstance=1000.{number:x}.1.0\nsize=516\n\
            sasl_method=PLAIN\nsasl_username={KNOWN}\n\n"
        );
        stream.write_all(request.as_bytes())?;
        let said = answer()?;
        answer()?;
        if !said.ends_with("DUNNO") {
            note(seen, |seen| seen.put_off += 1);
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Another writer, which takes the lock and writes nothing.
fn want_lock(store: &str, seen: &Mutex<All>) {
    let mut want: Box<dyn FnMut()> = if store.contains("://") {
        let mut store = Client::connect(store, NoTls).expect("it lets us in");
        let sql = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); ROLLBACK");
        Box::new(move || store.batch_execute(&sql).expect("the lock"))
    } else {
        let store = Connection::open(store).expect("a store");
        // SQLite's own busy handler sleeps longer each time.
        store.busy_timeout(Duration::ZERO).expect("SQLite");
        Box::new(move || {
            while store.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err() {
                thread::sleep(Duration::from_millis(1));
            }
        })
    };
    loop {
        let began = Instant::now();
        want();
        let took = began.elapsed();
        note(seen, |seen| seen.lock = seen.lock.max(took));
        thread::sleep(PAUSE);
    }
}
