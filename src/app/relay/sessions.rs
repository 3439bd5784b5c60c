//! Which password each open session signed in with, so that a session ends when its
//! password does (promise 3).
//!
//! A process of a mail server serves one client after another. It gives its process id
//! when it signs a client in (`CPID`) and when it asks about a message (the beginning of
//! Postfix's `instance`, or our `process`). So the latest sign-in of a user on one
//! connection of a process is the open session. Containers may share a process id: if
//! several connections match, the session is valid as long as one of their passwords
//! works. A session that is unknown here is not ended: it was open before this program
//! started, and the previous program did not carry it over.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::carry_over::format::{CarryOverReader, CarryOverWriter};
use super::sign_in::{KeyedHashes, octets};
use super::two_generation_cache::TwoGenerationCache;
use crate::model::name::Username;
use crate::model::password::PasswordId;

pub(super) struct Sessions {
    processes: TwoGenerationCache<u32, Served>,
    names: KeyedHashes,
    /// The highest connection that was carried over. Connections up to it have ended, and their
    /// processes go on over new ones.
    carried: u64,
}

/// The sessions under one process id.
#[derive(Default)]
struct Served {
    sessions: Vec<SignedIn>,
    /// There were too many to distinguish.
    crowded: bool,
}

/// Names are kept as hashes: there may be many, and they are only compared.
struct SignedIn {
    /// The connection to the socket for sign-ins.
    connection: u64,
    user: u64,
    password: u64,
    address: Option<u64>,
}

/// How many processes are remembered.
const PROCESSES: usize = 8_192;
/// Sessions of one process id: beyond this, only the latest of each connection is kept.
const USUAL: usize = 64;
/// More containers than may share one process id, or more connections of a mail server
/// that opens a new one for each sign-in.
const MOST: usize = 1024;
/// Bytes of a session that is carried over.
const WRITTEN: usize = 33;

impl Sessions {
    /// Returns no sessions.
    pub fn new() -> Self {
        Self {
            processes: TwoGenerationCache::new(PROCESSES),
            names: KeyedHashes::random(),
            carried: 0,
        }
    }

    /// Writes all sessions, as far as there is room.
    pub fn carry_over(&self, to: &mut CarryOverWriter<'_>) -> io::Result<()> {
        to.bytes(self.names.key())?;
        for (process, served) in self.processes.entries() {
            if !to.has_room(1 + served.sessions.len(), WRITTEN) {
                break;
            }
            to.u8(1)?;
            to.u32(*process)?;
            to.u8(served.crowded.into())?;
            to.u64(served.sessions.len() as u64)?;
            for session in &served.sessions {
                to.u64(session.connection)?;
                to.u64(session.user)?;
                to.u64(session.password)?;
                to.u8(session.address.is_some().into())?;
                to.u64(session.address.unwrap_or_default())?;
            }
        }
        to.u8(0)
    }

    /// Reads the sessions of the previous program. Its connections have lower numbers than
    /// those of this one.
    pub fn carried_over(from: &mut CarryOverReader<'_>) -> io::Result<Self> {
        let mut read = Self {
            names: KeyedHashes::with_key(Zeroizing::new(from.array()?)),
            ..Self::new()
        };
        while from.u8()? != 0 {
            let process = from.u32()?;
            let mut served = Served {
                crowded: from.u8()? != 0,
                sessions: Vec::new(),
            };
            for _ in 0..from.u64()? {
                let (connection, user, password) = (from.u64()?, from.u64()?, from.u64()?);
                let (has_address, address) = (from.u8()? != 0, from.u64()?);
                read.carried = read.carried.max(connection);
                if served.sessions.len() < MOST {
                    served.sessions.push(SignedIn {
                        connection,
                        user,
                        password,
                        address: has_address.then_some(address),
                    });
                }
            }
            read.processes.insert(process, served);
        }
        Ok(read)
    }

    /// Returns the hash that stands for a password of a user.
    pub fn password(&self, username: &Username, password_id: &PasswordId) -> u64 {
        self.names.of(
            b'p',
            &[
                username.as_str().as_bytes(),
                password_id.as_str().as_bytes(),
            ],
        )
    }

    fn address(&self, address: IpAddr) -> u64 {
        self.names.of(b'a', &[&octets(Some(address))])
    }

    fn user(&self, username: &Username) -> u64 {
        self.names.of(b'u', &[username.as_str().as_bytes()])
    }

    /// Records that a client of this process signed in on this connection to the socket for
    /// sign-ins.
    pub fn begin(
        &mut self,
        process: u32,
        connection: u64,
        (username, password_id): (&Username, &PasswordId),
        from: Option<IpAddr>,
    ) {
        let begun = SignedIn {
            connection,
            user: self.user(username),
            password: self.password(username, password_id),
            address: from.map(|address| self.address(address)),
        };
        let served = self.processes.get_or_insert_default(process);
        if served.crowded {
            return;
        }
        let sessions = &mut served.sessions;
        let carried = self.carried;
        sessions.retain(|one| {
            let goes_on = one.connection <= carried && one.address == begun.address;
            one.user != begun.user || (one.connection != connection && !goes_on)
        });
        if sessions.len() >= USUAL {
            // Only the latest session of each connection is open.
            let mut newer = HashSet::from([connection]);
            sessions.reverse();
            sessions.retain(|one| newer.insert(one.connection));
            sessions.reverse();
        }
        if sessions.len() >= MOST {
            sessions.clear();
            served.crowded = true;
            return;
        }
        // Nearly always the only one.
        sessions.reserve_exact(1);
        sessions.push(begun);
    }

    /// Returns the hashes of the passwords that the session may have signed in with.
    pub fn of(&mut self, process: u32, username: &Username, address: Option<IpAddr>) -> Vec<u64> {
        let user = self.user(username);
        let address = address.map(|address| self.address(address));
        let Some(served) = self.processes.get_mut(&process) else {
            return Vec::new();
        };
        let other = |one: &SignedIn| one.address.zip(address).is_some_and(|(a, b)| a != b);
        let sessions = served.sessions.iter();
        sessions
            .filter(|one| one.user == user && !other(one))
            .map(|one| one.password)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(
        sessions: &mut Sessions,
        process: u32,
        connection: u64,
        (username, password_id): (&str, &str),
        from: Option<IpAddr>,
    ) {
        let username = username.parse().unwrap();
        let password_id = PasswordId::stored(password_id.into());
        sessions.begin(process, connection, (&username, &password_id), from);
    }

    /// The passwords that a session of this process may have.
    fn passwords(sessions: &mut Sessions, process: u32, from: Option<&str>) -> Vec<&'static str> {
        let user: Username = "shop@example.com".parse().unwrap();
        let from = from.map(|from| from.parse().unwrap());
        let found = sessions.of(process, &user, from);
        ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"]
            .into_iter()
            .filter(|password_id| {
                let password = sessions.password(&user, &PasswordId::stored((*password_id).into()));
                found.contains(&password)
            })
            .collect()
    }

    #[test]
    fn one_client_after_another() {
        let mut sessions = Sessions::new();
        let here = Some("192.0.2.1".parse().unwrap());
        begin(&mut sessions, 7, 1, ("shop@example.com", "AAAAAAAA"), here);
        assert_eq!(passwords(&mut sessions, 7, Some("192.0.2.1")), ["AAAAAAAA"]);
        begin(&mut sessions, 7, 1, ("other@example.com", "CCCCCCCC"), here);
        begin(&mut sessions, 7, 1, ("shop@example.com", "BBBBBBBB"), here);
        assert_eq!(passwords(&mut sessions, 7, Some("192.0.2.1")), ["BBBBBBBB"]);
        assert!(passwords(&mut sessions, 8, Some("192.0.2.1")).is_empty());
        assert!(passwords(&mut sessions, 7, Some("192.0.2.2")).is_empty());
        // The same address in another form, or no address at all.
        assert_eq!(
            passwords(&mut sessions, 7, Some("::ffff:192.0.2.1")),
            ["BBBBBBBB"]
        );
        assert_eq!(passwords(&mut sessions, 7, None), ["BBBBBBBB"]);
    }

    #[test]
    fn two_containers_may_have_one_process_id() {
        let mut sessions = Sessions::new();
        begin(&mut sessions, 7, 1, ("shop@example.com", "AAAAAAAA"), None);
        begin(&mut sessions, 7, 2, ("shop@example.com", "BBBBBBBB"), None);
        assert_eq!(passwords(&mut sessions, 7, None), ["AAAAAAAA", "BBBBBBBB"]);
        begin(&mut sessions, 7, 1, ("shop@example.com", "CCCCCCCC"), None);
        assert_eq!(passwords(&mut sessions, 7, None), ["BBBBBBBB", "CCCCCCCC"]);
    }

    #[test]
    fn a_process_that_outlives_our_program_has_one_session() {
        let mut before = Sessions::new();
        let here = Some("192.0.2.1".parse().unwrap());
        let there = Some("192.0.2.2".parse().unwrap());
        begin(&mut before, 7, 3, ("shop@example.com", "AAAAAAAA"), here);
        begin(&mut before, 7, 4, ("shop@example.com", "CCCCCCCC"), there);
        let mut written = Vec::new();
        let mut writer = CarryOverWriter::begin(&mut written, 1 << 20).unwrap();
        before.carry_over(&mut writer).unwrap();
        writer.end().unwrap();
        let mut from = written.as_slice();
        let mut reader = CarryOverReader::begin(&mut from).unwrap();
        let mut after = Sessions::carried_over(&mut reader).unwrap();
        assert_eq!(passwords(&mut after, 7, Some("192.0.2.1")), ["AAAAAAAA"]);
        // Its connection is a new one.
        begin(&mut after, 7, 5, ("shop@example.com", "BBBBBBBB"), here);
        assert_eq!(passwords(&mut after, 7, Some("192.0.2.1")), ["BBBBBBBB"]);
        assert_eq!(passwords(&mut after, 7, Some("192.0.2.2")), ["CCCCCCCC"]);
        // Those of two containers stay apart.
        begin(&mut after, 7, 6, ("shop@example.com", "AAAAAAAA"), here);
        assert_eq!(
            passwords(&mut after, 7, Some("192.0.2.1")),
            ["AAAAAAAA", "BBBBBBBB"]
        );
    }

    #[test]
    fn the_memory_is_bounded_and_never_partial() {
        let mut sessions = Sessions::new();
        begin(&mut sessions, 7, 2, ("shop@example.com", "AAAAAAAA"), None);
        for n in 0..1000 {
            let user = format!("u{n}@example.com");
            begin(&mut sessions, 7, 1, (&user, "AAAAAAAA"), None);
            assert!(sessions.processes.get_mut(&7).unwrap().sessions.len() <= MOST);
        }
        assert_eq!(passwords(&mut sessions, 7, None), ["AAAAAAAA"]);
        for connection in 3..100 {
            let user = format!("u{connection}@example.com");
            begin(&mut sessions, 7, connection, (&user, "AAAAAAAA"), None);
        }
        assert_eq!(passwords(&mut sessions, 7, None), ["AAAAAAAA"]);
        for connection in 100..1100 {
            let session = ("shop@example.com", "BBBBBBBB");
            begin(&mut sessions, 7, connection, session, None);
        }
        // Too many to distinguish.
        assert!(passwords(&mut sessions, 7, None).is_empty());
        for process in 0..20_000 {
            begin(
                &mut sessions,
                process,
                1,
                ("shop@example.com", "AAAAAAAA"),
                None,
            );
            assert!(sessions.processes.len() <= PROCESSES);
        }
    }
}
