//! The servers of a URL: finds the primary, and checks that there is only one.
//!
//! After a failover the old primary may return unfenced and accept writes, too. A change on
//! one is missing on the other, so a revoked password would still work. Therefore neither is
//! used.

mod member;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use self::member::Member;
use super::conn_url::{ConnUrl, DatabaseServer};
use super::connect::{self, CONNECT_TIMEOUT, Timeouts};
use super::connection::PgConnection;
use super::instance::{Instance, agree};
use super::pg_error::{PgError, PgResult};
use crate::store::engine::Replica;

/// The servers of a database, one of which is the primary.
pub struct Cluster {
    url: ConnUrl,
    timeouts: Timeouts,
    /// One for each address of each server.
    members: Vec<Member>,
    primary: usize,
    /// When the others were asked.
    asked: Instant,
    /// When names were looked up.
    looked_up: Instant,
    /// How many names are being looked up.
    looking_up: usize,
    inbox: Receiver<News>,
    sender: Sender<News>,
}

enum News {
    Said(usize, Box<PgResult<(PgConnection, Instance)>>),
    Addresses(usize, Vec<IpAddr>),
}

/// How long to retry a server that is starting or about to become the primary.
const COMING: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);
/// How long an answer is valid.
const HOLDS: Duration = Duration::from_secs(2);
/// A caller that must not wait waits only if the last answer is older than this.
const STALE: Duration = Duration::from_secs(10);
/// How long the other servers may take to answer: for a caller that must not wait, and for
/// one that has time.
const OTHERS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1500)];
/// A name may stand for another server after a failover.
const LOOK_UP: Duration = Duration::from_secs(10);
/// The most addresses that are used of a name server's answer.
const MOST: usize = 32;

impl Cluster {
    /// Connects to no server yet.
    pub fn new(url: ConnUrl, timeouts: Timeouts) -> Self {
        let (sender, inbox) = channel();
        Self {
            url,
            timeouts,
            members: Vec::new(),
            primary: 0,
            asked: Instant::now(),
            looked_up: Instant::now(),
            looking_up: 0,
            inbox,
            sender,
        }
    }

    /// Finds the current primary and connects to it.
    pub fn find(&mut self) -> PgResult<PgConnection> {
        let since = Instant::now();
        self.list();
        loop {
            let error = match self.find_now() {
                Err(error) => error,
                found => return found,
            };
            let most = match &error {
                full if is_full(full) => self.timeouts.patience,
                PgError::NotReady(_) => self.timeouts.patience.min(COMING),
                _ => Duration::ZERO,
            };
            if since.elapsed() >= most {
                return Err(error);
            }
            thread::sleep(AGAIN);
        }
    }

    /// Opens another connection to the same primary.
    pub fn another(&self) -> PgResult<PgConnection> {
        let server = self.server(&self.members[self.primary]);
        let (connection, instance) = connect::open(&server, &self.url.tls, self.timeouts)?;
        if instance.writes {
            Ok(connection)
        } else {
            Err(no_primary())
        }
    }

    /// Returns an error if another server accepts writes, too. Asks nothing if there is only
    /// one server.
    pub fn check(&mut self) -> PgResult<()> {
        while let Ok(news) = self.inbox.try_recv() {
            self.take(news);
        }
        if self.looked_up.elapsed() >= LOOK_UP {
            self.look_up();
        }
        if self.members.len() < 2 {
            return Ok(());
        }
        let age = self.asked.elapsed();
        if age >= HOLDS {
            // A distant server may be slow: no caller waits for it.
            self.ask(Some(self.primary), CONNECT_TIMEOUT);
            if self.has_time() || age >= STALE {
                self.wait_for_others(Duration::ZERO);
            }
        }
        self.agree()
    }

    /// How long one server may take to answer.
    fn patience(&self) -> Duration {
        self.timeouts.answer.min(CONNECT_TIMEOUT)
    }

    fn has_time(&self) -> bool {
        !self.timeouts.patience.is_zero()
    }

    /// Lists the members whose names can be looked up.
    fn list(&mut self) {
        // Late answers are for the previous members.
        (self.sender, self.inbox) = channel();
        self.looking_up = 0;
        let before = std::mem::take(&mut self.members);
        self.look_up();
        let until = Instant::now() + self.patience();
        let needless = |server: &DatabaseServer| server.looked_up().is_none();
        let any_known = self.url.servers.iter().any(needless);
        self.wait(until, |cluster| {
            any_known || cluster.looking_up == 0 || !cluster.members.is_empty()
        });
        let others = Instant::now() + OTHERS[usize::from(self.has_time())];
        self.wait(until.min(others), |cluster| cluster.looking_up == 0);
        for number in 0..self.url.servers.len() {
            if !self.members.iter().any(|member| member.server == number) {
                let mut member = Member::new(number, None);
                // No caller waits for its name a second time.
                member.silent = !needless(&self.url.servers[number]) && self.looking_up > 0;
                self.members.push(member);
            }
        }
        // In the order of the URL.
        self.members.sort_by_key(|member| member.server);
        for old in before {
            let is_same = |new: &&mut Member| new.place() == old.place();
            if let Some(new) = self.members.iter_mut().find(is_same) {
                new.connection = old.connection;
                new.silent = old.silent;
            }
        }
        self.primary = 0;
    }

    fn look_up(&mut self) {
        self.looked_up = Instant::now();
        if self.looking_up > 0 {
            return;
        }
        for (number, server) in self.url.servers.iter().enumerate() {
            let Some(name) = server.looked_up() else {
                continue;
            };
            let (name, port) = (name.to_owned(), server.port());
            let sender = self.sender.clone();
            self.looking_up += 1;
            thread::spawn(move || {
                let found = (name.as_str(), port).to_socket_addrs();
                let found = found.into_iter().flatten().map(|found| found.ip());
                let _ = sender.send(News::Addresses(number, found.collect()));
            });
        }
    }

    fn find_now(&mut self) -> PgResult<PgConnection> {
        if let [member] = &self.members[..] {
            let server = self.server(member);
            let (connection, instance) = connect::open(&server, &self.url.tls, self.timeouts)?;
            if !instance.writes {
                return Err(no_primary());
            }
            self.members[0].said = Some(Ok(instance));
            return Ok(connection);
        }
        let began = Instant::now();
        for member in &mut self.members {
            member.said = None;
        }
        self.ask(None, self.patience());
        let settled = |cluster: &Self| {
            let members = &cluster.members;
            members.iter().any(Member::writes) || members.iter().all(|member| !member.asking)
        };
        self.wait(began + self.patience().min(OTHERS[1]), settled);
        // If one hangs, a standby may be about to take over. Otherwise each answers within
        // its own deadlines.
        if !self.members.iter().any(|m| matches!(m.said, Some(Ok(_)))) {
            self.wait(began + 4 * CONNECT_TIMEOUT, settled);
        }
        if !self.members.iter().any(Member::writes) {
            return Err(self.most_specific_error());
        }
        // The other servers may be as far away.
        self.wait_for_others(began.elapsed());
        let first = self.members.iter().position(Member::writes);
        let primary = first.ok_or_else(no_primary)?;
        self.primary = primary;
        self.agree()?;
        let connection = self.members[primary].connection.take();
        let mut connection =
            connection.ok_or_else(|| PgError::Lost("the connection was lost".into()))?;
        connection.set_patience(self.patience());
        Ok(connection)
    }

    /// Returns the most specific error, or the first of equal ones, with the state of each server.
    fn most_specific_error(&mut self) -> PgError {
        let each = self.members.iter();
        let each: Vec<_> = each
            .map(|member| format!("{}: {}", self.name(member), member.found().0))
            .collect();
        let reason = format!("no server accepts writes: {}", each.join("; "));
        let said = self.members.iter_mut().filter_map(|m| m.said.take());
        let first = said.min_by_key(|said| match said {
            Err(PgError::Unfit(_) | PgError::NotPostgres(_) | PgError::SplitBrain(_)) => 0,
            Err(full) if is_full(full) => 1,
            Err(PgError::NotReady(_)) => 2,
            Ok(_) => 3,
            Err(PgError::Sql(_) | PgError::Lost(_)) => 4,
        });
        match first {
            Some(Err(PgError::Sql(mut no))) => {
                no.message = reason;
                PgError::Sql(no)
            }
            Some(Ok(_) | Err(PgError::NotReady(_))) => PgError::NotReady(reason),
            Some(Err(PgError::Lost(_))) | None => PgError::Lost(reason),
            Some(Err(error)) => error,
        }
    }

    /// Asks all members that are not being asked already.
    fn ask(&mut self, except: Option<usize>, patience: Duration) {
        self.asked = Instant::now();
        for number in 0..self.members.len() {
            if Some(number) != except {
                self.ask_one(number, patience);
            }
        }
    }

    /// Asks in a thread that ends by itself, even if no caller waits any more.
    fn ask_one(&mut self, number: usize, patience: Duration) {
        if self.members[number].asking {
            return;
        }
        let server = self.server(&self.members[number]);
        let member = &mut self.members[number];
        member.asking = true;
        let connection = member.connection.take();
        let (tls, sender) = (self.url.tls.clone(), self.sender.clone());
        let mut timeouts = self.timeouts;
        timeouts.answer = patience;
        thread::spawn(move || {
            let said = connect::ask(connection, &server, &tls, timeouts);
            let _ = sender.send(News::Said(number, Box::new(said)));
        });
    }

    /// Waits for the others. A server that hangs delays a caller once, and no longer than this.
    fn wait_for_others(&mut self, far: Duration) {
        let mut most = OTHERS[usize::from(self.has_time())];
        if self.has_time() {
            most = most.max(far);
        }
        self.wait(Instant::now() + most, |cluster| {
            let awaited = |member: &Member| member.asking && !member.silent;
            !cluster.members.iter().any(awaited)
        });
        for member in self.members.iter_mut().filter(|member| member.asking) {
            member.silent = true;
            member.said = None;
        }
    }

    fn wait(&mut self, until: Instant, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let left = until.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(news) => self.take(news),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Said(number, said) => {
                let Some(member) = self.members.get_mut(number) else {
                    return;
                };
                member.asking = false;
                member.said = Some((*said).map(|(connection, instance)| {
                    member.silent = false;
                    member.connection = Some(connection);
                    instance
                }));
            }
            News::Addresses(server, addresses) => {
                self.looking_up = self.looking_up.saturating_sub(1);
                for address in addresses {
                    let new = Member::new(server, Some(address));
                    let known = self.members.iter().any(|old| old.place() == new.place());
                    if !known && self.members.len() < MOST {
                        self.members.push(new);
                    }
                }
            }
        }
    }

    fn agree(&self) -> PgResult<()> {
        let mut ours = None;
        let mut others = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            match &member.said {
                Some(Ok(said)) if number == self.primary => ours = Some((self.name(member), said)),
                Some(Ok(said)) => others.push((self.name(member), said)),
                _ => {}
            }
        }
        let Some((name, own)) = &ours else {
            return Ok(());
        };
        let others: Vec<_> = others.iter().map(|(n, one)| (n.as_str(), *one)).collect();
        agree((name, own), &others)
    }

    /// Returns the last state of each server, or nothing if there is only one.
    pub fn replicas(&self) -> Vec<Replica> {
        let several = self.members.iter().filter(|_| self.members.len() > 1);
        let replicas = several.map(|member| {
            let (found, hides) = member.found();
            let name = self.name(member);
            Replica { name, found, hides }
        });
        replicas.collect()
    }

    fn server(&self, member: &Member) -> DatabaseServer {
        let mut server = self.url.servers[member.server].clone();
        if let Some(address) = member.address {
            server.config.hostaddr(address);
        }
        server
    }

    fn name(&self, member: &Member) -> String {
        let place = self.url.servers[member.server].place();
        let same = self.members.iter().filter(|m| m.server == member.server);
        match member.address {
            Some(address) if same.count() > 1 => format!("{place} ({address})"),
            _ => place,
        }
    }
}

/// Returns whether all connections of a server are in use.
fn is_full(error: &PgError) -> bool {
    matches!(error, PgError::Sql(no) if no.state == SqlState::TOO_MANY_CONNECTIONS)
}

fn no_primary() -> PgError {
    PgError::NotReady("it is not a primary: nothing can be written".into())
}

#[cfg(test)]
mod tests;
