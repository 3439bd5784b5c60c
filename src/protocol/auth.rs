//! The Dovecot authentication protocol, version 1.2, as its server
//! (<https://doc.dovecot.org/main/developers/design/auth_protocol.html>).
//!
//! Postfix keeps one connection for each of its processes and sends one
//! request at a time; Exim opens one for each request. Neither knows a failure
//! that passes: the only way to say "cannot tell" is to hang up.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::cache_status::REMEMBERING;
use super::process_id;
use super::sasl::{self, SaslCredentials, SaslMechanism};
use crate::model::text::number;

/// One client's side of it, from the handshake on.
#[derive(Debug, Default)]
pub struct AuthConversation {
    version: bool,
    cpid: bool,
    /// The process id of the client, as the client gives it.
    process: Option<u32>,
    /// Asked a question, and not answered yet.
    challenges: Vec<Challenge>,
    in_flight: Vec<InFlight>,
}

/// Being checked.
#[derive(Debug)]
struct InFlight {
    id: u32,
    /// The client does not want the answer any more. The id stays in use until there is one.
    cancelled: bool,
}

#[derive(Debug)]
struct Challenge {
    request: AuthRequest,
    since: Instant,
    /// Of LOGIN, once it was given.
    username: Option<String>,
}

/// A request, its secrets aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthRequest {
    /// The client's number for the request.
    pub id: u32,
    /// The mechanism that the client chose.
    pub mechanism: SaslMechanism,
    /// Of the SMTP client, where the mail server knows it.
    pub address: Option<IpAddr>,
    /// The client's connection is encrypted.
    pub secured: bool,
}

/// What follows from a line.
#[derive(Debug)]
pub enum AuthStep {
    /// Nothing; wait for the next line.
    Nothing,
    /// Send this, now.
    Reply(String),
    /// Check this, and [`answer`](Conversation::answer) with what comes out.
    Check(AuthRequest, SaslCredentials),
    /// To be answered with a failure, without a check.
    Malformed(AuthRequest),
    /// Send the answer of [`super::cache_status::answer`].
    Remembering,
    /// Close the connection, for this reason.
    HangUp(&'static str),
}

/// In bytes, without the line feed. Dovecot's is 16384; Exim passes on what is
/// nearly as long.
pub const MAX_LINE: usize = 32 * 1024;
/// Of one connection. A mail server has one at a time.
const MAX_CHALLENGES: usize = 32;
const MAX_IN_FLIGHT: usize = 64;
/// As long as Dovecot waits. Mail servers do not say when a client gave up.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(150);

/// Returns the server's whole handshake, sent before the client says anything: Exim up to 4.98
/// waits for it. `cookie` has to be new for each connection.
pub fn greeting(pid: u32, connection: u64, cookie: u128) -> String {
    // Postfix leaves out mechanisms with this mark if its options say `noplaintext`.
    let [plain, login] = SaslMechanism::ALL.map(SaslMechanism::name);
    format!(
        "VERSION\t1\t2\nMECH\t{plain}\tplaintext\nMECH\t{login}\tplaintext\n\
        SPID\t{pid}\nCUID\t{connection}\nCOOKIE\t{cookie:032x}\nDONE\n"
    )
}

/// What a server says of itself before any request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The process that answers.
    pub pid: Option<u32>,
    /// The mechanisms on offer, in upper case.
    pub mechanisms: Vec<String>,
}

impl Greeting {
    /// Parses a handshake up to its DONE. The error says what a mail server cannot read.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let mut found = Self::default();
        let mut version = false;
        for line in text.split_terminator('\n') {
            let mut fields = line.split('\t');
            match (fields.next(), fields.next()) {
                (Some("VERSION"), Some("1")) => version = true,
                (Some("VERSION"), _) => return Err("it speaks another version of the protocol"),
                (Some("MECH"), Some(name)) => found.mechanisms.push(name.to_ascii_uppercase()),
                (Some("SPID"), Some(pid)) => found.pid = number(pid),
                (Some("DONE"), None) if !version => return Err("it says no version"),
                (Some("DONE"), None) => return Ok(found),
                _ => {}
            }
        }
        Err("its greeting has no end")
    }
}

/// The answer to a request. The canonical name comes first: mail servers look
/// at no more than the first few fields.
fn reply(id: u32, accepted: Option<&str>) -> String {
    match accepted {
        Some(username) => format!("OK\t{id}\tuser={username}\n"),
        // Nothing but the id: Postfix shows a reason to the client.
        None => format!("FAIL\t{id}\n"),
    }
}

impl AuthConversation {
    /// Takes a line without its line feed.
    pub fn line(&mut self, line: &[u8], now: Instant) -> AuthStep {
        let Ok(line) = std::str::from_utf8(line) else {
            return AuthStep::HangUp("a line is not UTF-8");
        };
        let (command, rest) = line.split_once('\t').unwrap_or((line, ""));
        match command {
            "VERSION" => self.version(rest),
            "CPID" => {
                self.cpid = true;
                self.process = process_id(rest.split('\t').next().unwrap_or_default(), 10);
                AuthStep::Nothing
            }
            "AUTH" if self.is_ready() => self.auth(rest, now),
            "CONT" if self.is_ready() => self.cont(rest, now),
            "CANCEL" if self.is_ready() => {
                if let Some(id) = number(rest) {
                    self.cancel(id);
                }
                AuthStep::Nothing
            }
            REMEMBERING if self.is_ready() => AuthStep::Remembering,
            _ => AuthStep::HangUp("a command is not known, or too early"),
        }
    }

    /// Returns whether both sides have identified themselves.
    pub const fn is_ready(&self) -> bool {
        self.version && self.cpid
    }

    /// Returns whether the client was asked something and may be about to answer.
    pub const fn is_asked(&self) -> bool {
        !self.challenges.is_empty()
    }

    /// Returns the process of the mail server, which serves one session at a time.
    pub const fn process(&self) -> Option<u32> {
        self.process
    }

    /// Returns what to send once a request was checked: the username, if it may sign in.
    /// `None` if the client does not wait for it.
    pub fn answer(&mut self, id: u32, accepted: Option<&str>) -> Option<String> {
        let waiting = self.in_flight.iter().position(|waiting| waiting.id == id)?;
        let waiting = self.in_flight.swap_remove(waiting);
        (!waiting.cancelled).then(|| reply(id, accepted))
    }

    /// Returns whether a check is running and the client waits for the answer.
    pub fn is_awaited(&self, id: u32) -> bool {
        let mut in_flight = self.in_flight.iter();
        in_flight.any(|waiting| waiting.id == id && !waiting.cancelled)
    }

    fn cancel(&mut self, id: u32) {
        self.challenges
            .retain(|challenge| challenge.request.id != id);
        for waiting in self.in_flight.iter_mut().filter(|waiting| waiting.id == id) {
            waiting.cancelled = true;
        }
    }

    fn is_in_flight(&self, id: u32) -> bool {
        self.in_flight.iter().any(|waiting| waiting.id == id)
    }

    fn fly(&mut self, id: u32) {
        self.in_flight.push(InFlight {
            id,
            cancelled: false,
        });
    }

    fn version(&mut self, rest: &str) -> AuthStep {
        if rest.split('\t').next() != Some("1") {
            return AuthStep::HangUp("the client speaks another version of the protocol");
        }
        self.version = true;
        AuthStep::Nothing
    }

    fn auth(&mut self, rest: &str, now: Instant) -> AuthStep {
        // By what is in a request, not by position: Postfix and Exim differ.
        let mut fields = rest.split('\t');
        let id = fields.next().and_then(number);
        let mechanism = fields.next().and_then(SaslMechanism::named);
        let (Some(id @ 1..), Some(mechanism)) = (id, mechanism) else {
            return AuthStep::HangUp("an AUTH has no id, or no mechanism of ours");
        };
        if self.is_in_flight(id) || self.challenges.iter().any(|c| c.request.id == id) {
            return AuthStep::HangUp("an id is used twice at the same time");
        }
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return AuthStep::HangUp("too many requests at the same time");
        }
        let mut request = AuthRequest {
            id,
            mechanism,
            address: None,
            secured: false,
        };
        let mut response = None;
        for field in fields {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            match name {
                "rip" => request.address = value.parse().ok(),
                "secured" => request.secured = true,
                "resp" => response = Some(value),
                _ => {}
            }
        }
        match response {
            // Exim says so for "no initial response".
            None | Some("") => self.challenge(request, None, now),
            Some("=") => self.respond(request, None, b"", now),
            Some(base64) => match sasl::decode(base64.as_bytes()) {
                Some(message) => self.respond(request, None, &message, now),
                None => self.malformed(request),
            },
        }
    }

    fn cont(&mut self, rest: &str, now: Instant) -> AuthStep {
        let (id, base64) = rest.split_once('\t').unwrap_or((rest, ""));
        let Some(id) = number(id) else {
            return AuthStep::HangUp("a CONT has no id");
        };
        if self.is_in_flight(id) {
            // Another answer to the same id would follow.
            return AuthStep::HangUp("a CONT for what is being checked");
        }
        let found = self.challenges.iter().position(|c| c.request.id == id);
        let Some(found) = found else {
            // Given up meanwhile, perhaps by us.
            return AuthStep::Reply(reply(id, None));
        };
        let Challenge {
            request, username, ..
        } = self.challenges.swap_remove(found);
        match sasl::decode(base64.as_bytes()) {
            Some(message) => self.respond(request, username, &message, now),
            None => self.malformed(request),
        }
    }

    fn challenge(
        &mut self,
        request: AuthRequest,
        username: Option<String>,
        now: Instant,
    ) -> AuthStep {
        self.challenges
            .retain(|challenge| now.duration_since(challenge.since) < CHALLENGE_LIFETIME);
        if self.challenges.len() >= MAX_CHALLENGES {
            return AuthStep::HangUp("too many questions not answered");
        }
        let id = request.id;
        let prompt = match (request.mechanism, &username) {
            (SaslMechanism::Plain, _) => "",
            (SaslMechanism::Login, None) => sasl::USERNAME_PROMPT,
            (SaslMechanism::Login, Some(_)) => sasl::PASSWORD_PROMPT,
        };
        self.challenges.push(Challenge {
            request,
            since: now,
            username,
        });
        // The tab stays where there is nothing after it: Exim sends "NULL"
        // to its client without.
        AuthStep::Reply(format!("CONT\t{id}\t{prompt}\n"))
    }

    fn respond(
        &mut self,
        request: AuthRequest,
        username: Option<String>,
        message: &[u8],
        now: Instant,
    ) -> AuthStep {
        let credentials = match (request.mechanism, username) {
            (SaslMechanism::Plain, _) => sasl::plain(message),
            (SaslMechanism::Login, Some(username)) => sasl::login(username, message),
            // An empty initial response is an invitation to ask.
            (SaslMechanism::Login, None) if message.is_empty() => {
                return self.challenge(request, None, now);
            }
            (SaslMechanism::Login, None) => match sasl::username(message) {
                Some(username) => return self.challenge(request, Some(username), now),
                None => None,
            },
        };
        match credentials {
            Some(credentials) => {
                self.fly(request.id);
                AuthStep::Check(request, credentials)
            }
            None => self.malformed(request),
        }
    }

    fn malformed(&mut self, request: AuthRequest) -> AuthStep {
        self.fly(request.id);
        AuthStep::Malformed(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_read_as_it_is_written() {
        let found = Greeting::read(&greeting(42, 1, 7)).unwrap();
        assert_eq!(found.pid, Some(42));
        assert_eq!(found.mechanisms, ["PLAIN", "LOGIN"]);
    }

    #[test]
    fn the_client_says_which_process_it_is() {
        let said = |line: &str| {
            let mut client = AuthConversation::default();
            assert!(matches!(
                client.line(line.as_bytes(), Instant::now()),
                AuthStep::Nothing
            ));
            client.process()
        };
        assert_eq!(said("CPID\t14921"), Some(14_921));
        for none in [
            "CPID",
            "CPID\t0",
            "CPID\t+7",
            "CPID\t-7",
            "CPID\t4294967296",
        ] {
            assert_eq!(said(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_is_no_greeting() {
        for bad in [
            "",
            "VERSION\t1\t2\n",
            "VERSION\t2\t0\nDONE\n",
            "MECH\tPLAIN\nDONE\n",
            "220 mail.test ESMTP\n",
        ] {
            assert!(Greeting::read(bad).is_err(), "{bad:?}");
        }
    }
}
