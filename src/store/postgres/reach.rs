//! Finding the primary among the servers that the URL names.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::target::{Server, Target};
use super::tls::TlsFiles;
use super::wire::{Answer, Trouble, Wire};

/// How a connection is to be.
#[derive(Clone, Copy)]
pub struct Terms {
    /// A server that says nothing for so long is lost.
    pub answer: Duration,
    /// How long others are waited for that have a lock, and servers that are full.
    pub patience: Duration,
    pub read_only: bool,
}

/// A server that is starting, or is to become the primary, is asked again for so
/// long.
const COMING: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);
/// To be let in takes no longer.
const REACH: Duration = Duration::from_secs(10);
/// So long the last primary is asked alone. One that hangs keeps nobody from the
/// others.
const ALONE: Duration = Duration::from_millis(200);

/// The primary's number, and a connection to it. `last` is where it was.
pub fn primary(target: &Target, last: usize, terms: Terms) -> Answer<(usize, Wire)> {
    let since = Instant::now();
    loop {
        let trouble = match ask(target, last, terms) {
            Err(trouble) => trouble,
            found => return found,
        };
        let most = match &trouble {
            Trouble::Refused(no) if no.state == SqlState::TOO_MANY_CONNECTIONS => terms.patience,
            Trouble::Coming(_) => terms.patience.min(COMING),
            _ => Duration::ZERO,
        };
        if since.elapsed() >= most {
            return Err(trouble);
        }
        thread::sleep(AGAIN);
    }
}

/// All of them, once.
fn ask(target: &Target, last: usize, terms: Terms) -> Answer<(usize, Wire)> {
    let count = target.servers.len();
    if let [server] = &target.servers[..] {
        return reach(server, &target.tls, terms).map(|wire| (0, wire));
    }
    let (sender, answers) = channel();
    ask_one(target, last % count, terms, &sender);
    let mut gathered = Gathered::default();
    gathered.wait(&answers, 1, Some(ALONE));
    if gathered.found.is_none() {
        for number in (1..count).map(|i| (last + i) % count) {
            ask_one(target, number, terms, &sender);
        }
        gathered.wait(&answers, count, None);
    }
    gathered.said()
}

/// In a thread that ends by itself, whether anybody still listens or not.
fn ask_one(target: &Target, number: usize, terms: Terms, sender: &Sender<(usize, Answer<Wire>)>) {
    let (server, tls) = (target.servers[number].clone(), target.tls.clone());
    let sender = sender.clone();
    thread::spawn(move || {
        let _ = sender.send((number, reach(&server, &tls, terms)));
    });
}

#[derive(Default)]
struct Gathered {
    found: Option<(usize, Wire)>,
    /// The most telling: one that comes, or what the last primary says.
    trouble: Option<Trouble>,
    failed: usize,
}

impl Gathered {
    /// Until it is found, or so many have failed.
    fn wait(
        &mut self,
        answers: &Receiver<(usize, Answer<Wire>)>,
        count: usize,
        most: Option<Duration>,
    ) {
        while self.found.is_none() && self.failed < count {
            let next = match most {
                Some(most) => answers.recv_timeout(most).ok(),
                // Each answers within its own deadline.
                None => answers.recv().ok(),
            };
            match next {
                Some((number, Ok(wire))) => self.found = Some((number, wire)),
                Some((_, Err(trouble))) => {
                    self.failed += 1;
                    let comes = matches!(trouble, Trouble::Coming(_));
                    if comes || self.trouble.is_none() {
                        self.trouble = Some(trouble);
                    }
                }
                None => return,
            }
        }
    }

    fn said(self) -> Answer<(usize, Wire)> {
        self.found.ok_or_else(|| {
            self.trouble
                .unwrap_or_else(|| Trouble::Lost("no server answers".into()))
        })
    }
}

/// One of them, if it is the primary.
pub fn reach(server: &Server, tls: &TlsFiles, terms: Terms) -> Answer<Wire> {
    // Who knows the names of our tables must not be able to give us others; a
    // commit is on a disk; who hangs with the lock loses it. To compile a statement for
    // five hundred rows takes longer than to run it.
    const SETTINGS: &str = "SET search_path = smtpcred, pg_temp;
        SET default_transaction_isolation = 'read committed';
        SET idle_in_transaction_session_timeout = '60s';
        SET statement_timeout = 0; SET jit = off;
        SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
        SET tcp_keepalives_count = 3;
        SELECT set_config('synchronous_commit',
            CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
            ELSE current_setting('synchronous_commit') END, false)";
    const STATE: &str = "SELECT CASE WHEN pg_is_in_recovery()
        OR current_setting('transaction_read_only') = 'on' THEN 'standby' ELSE 'primary' END";
    let mut wire = Wire::connect(server, tls, terms.answer.min(REACH))?;
    wire.simple(SETTINGS)?;
    // 0 would be for ever.
    let lock = terms.patience.as_millis().max(1);
    let state = wire.simple(&format!("SET lock_timeout = {lock}; {STATE}"))?;
    if state.iter().any(|state| state == "standby") {
        return Err(Trouble::Coming(
            "it is no primary: nothing can be written".into(),
        ));
    }
    if terms.read_only {
        wire.simple("SET default_transaction_read_only = on")?;
    }
    Ok(wire)
}
