//! The Dovecot authentication protocol, version 1.2, as its server
//! (<https://doc.dovecot.org/main/developers/design/auth_protocol.html>).
//!
//! Postfix keeps one connection for each of its processes and sends one
//! request at a time; Exim opens one for each request. Neither knows a failure
//! that passes: the only way to say "cannot tell" is to hang up.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::sasl::{self, Credentials, Mechanism};

/// One client's side of it, from the handshake on.
#[derive(Debug, Default)]
pub struct Conversation {
    version: bool,
    cpid: bool,
    /// Asked a question, and not answered yet.
    challenges: Vec<Challenge>,
    in_flight: Vec<InFlight>,
}

/// Being checked.
#[derive(Debug)]
struct InFlight {
    id: u32,
    /// Nobody wants the answer any more; until there is one, the id is taken.
    cancelled: bool,
}

#[derive(Debug)]
struct Challenge {
    request: Request,
    since: Instant,
    /// Of LOGIN, once it was given.
    username: Option<String>,
}

/// A request, its secrets aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub id: u32,
    pub mechanism: Mechanism,
    /// Of the SMTP client, where the mail server knows it.
    pub address: Option<IpAddr>,
    /// The client's connection is encrypted.
    pub secured: bool,
}

/// What follows from a line.
#[derive(Debug)]
pub enum Step {
    Nothing,
    /// Send this, now.
    Reply(String),
    /// Check this, and [`answer`](Conversation::answer) with what comes out.
    Check(Request, Credentials),
    /// To be answered with a failure, without a check.
    Malformed(Request),
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

/// All of it at once, before the client says anything: Exim up to 4.98 waits
/// for it. `cookie` has to be new for each connection.
pub fn greeting(pid: u32, connection: u64, cookie: u128) -> String {
    // Postfix leaves out what is not marked so, if it is told `noplaintext`.
    let [plain, login] = Mechanism::ALL.map(Mechanism::name);
    format!(
        "VERSION\t1\t2\nMECH\t{plain}\tplaintext\nMECH\t{login}\tplaintext\n\
        SPID\t{pid}\nCUID\t{connection}\nCOOKIE\t{cookie:032x}\nDONE\n"
    )
}

/// What a server says of itself before it is asked anything.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The process that answers.
    pub pid: Option<u32>,
    pub mechanisms: Vec<String>,
}

impl Greeting {
    /// Up to its DONE; an error says what a mail server would stumble over.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let mut found = Self::default();
        let mut version = false;
        for line in text.split_terminator('\n') {
            let mut fields = line.split('\t');
            match (fields.next(), fields.next()) {
                (Some("VERSION"), Some("1")) => version = true,
                (Some("VERSION"), _) => return Err("it speaks another version of the protocol"),
                (Some("MECH"), Some(name)) => found.mechanisms.push(name.to_ascii_uppercase()),
                (Some("SPID"), Some(pid)) => found.pid = pid.parse().ok(),
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
        // Nothing but the id: Postfix shows a reason to whoever tried.
        None => format!("FAIL\t{id}\n"),
    }
}

impl Conversation {
    /// Takes a line without its line feed.
    pub fn line(&mut self, line: &[u8], now: Instant) -> Step {
        let Ok(line) = std::str::from_utf8(line) else {
            return Step::HangUp("a line is no UTF-8");
        };
        let (command, rest) = line.split_once('\t').unwrap_or((line, ""));
        match command {
            "VERSION" => self.version(rest),
            "CPID" => {
                self.cpid = true;
                Step::Nothing
            }
            "AUTH" if self.is_ready() => self.auth(rest, now),
            "CONT" if self.is_ready() => self.cont(rest, now),
            "CANCEL" if self.is_ready() => {
                if let Ok(id) = rest.parse::<u32>() {
                    self.cancel(id);
                }
                Step::Nothing
            }
            _ => Step::HangUp("a command is not known, or too early"),
        }
    }

    /// Both sides have said who they are.
    pub const fn is_ready(&self) -> bool {
        self.version && self.cpid
    }

    /// What to send once a request was checked: the username, if it may sign
    /// in. Nothing if nobody waits for it.
    pub fn answer(&mut self, id: u32, accepted: Option<&str>) -> Option<String> {
        let waiting = self.in_flight.iter().position(|waiting| waiting.id == id)?;
        let waiting = self.in_flight.swap_remove(waiting);
        (!waiting.cancelled).then(|| reply(id, accepted))
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

    fn version(&mut self, rest: &str) -> Step {
        if rest.split('\t').next() != Some("1") {
            return Step::HangUp("the client speaks another version of the protocol");
        }
        self.version = true;
        Step::Nothing
    }

    fn auth(&mut self, rest: &str, now: Instant) -> Step {
        // By what is in a request, not by position: Postfix and Exim differ.
        let mut fields = rest.split('\t');
        let id = fields.next().and_then(|id| id.parse().ok());
        let mechanism = fields.next().and_then(Mechanism::named);
        let (Some(id @ 1..), Some(mechanism)) = (id, mechanism) else {
            return Step::HangUp("an AUTH has no id, or no mechanism of ours");
        };
        if self.is_in_flight(id) || self.challenges.iter().any(|c| c.request.id == id) {
            return Step::HangUp("an id is used twice at the same time");
        }
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return Step::HangUp("too many requests at the same time");
        }
        let mut request = Request {
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

    fn cont(&mut self, rest: &str, now: Instant) -> Step {
        let (id, base64) = rest.split_once('\t').unwrap_or((rest, ""));
        let Ok(id) = id.parse::<u32>() else {
            return Step::HangUp("a CONT has no id");
        };
        if self.is_in_flight(id) {
            // Another answer to the same id would follow.
            return Step::HangUp("a CONT for what is being checked");
        }
        let found = self.challenges.iter().position(|c| c.request.id == id);
        let Some(found) = found else {
            // Given up meanwhile, perhaps by us.
            return Step::Reply(reply(id, None));
        };
        let Challenge {
            request, username, ..
        } = self.challenges.swap_remove(found);
        match sasl::decode(base64.as_bytes()) {
            Some(message) => self.respond(request, username, &message, now),
            None => self.malformed(request),
        }
    }

    fn challenge(&mut self, request: Request, username: Option<String>, now: Instant) -> Step {
        self.challenges
            .retain(|challenge| now.duration_since(challenge.since) < CHALLENGE_LIFETIME);
        if self.challenges.len() >= MAX_CHALLENGES {
            return Step::HangUp("too many questions not answered");
        }
        let id = request.id;
        let prompt = match (request.mechanism, &username) {
            (Mechanism::Plain, _) => "",
            (Mechanism::Login, None) => sasl::USERNAME_PROMPT,
            (Mechanism::Login, Some(_)) => sasl::PASSWORD_PROMPT,
        };
        self.challenges.push(Challenge {
            request,
            since: now,
            username,
        });
        // The tab stays where there is nothing after it: Exim sends "NULL"
        // to its client without.
        Step::Reply(format!("CONT\t{id}\t{prompt}\n"))
    }

    fn respond(
        &mut self,
        request: Request,
        username: Option<String>,
        message: &[u8],
        now: Instant,
    ) -> Step {
        let credentials = match (request.mechanism, username) {
            (Mechanism::Plain, _) => sasl::plain(message),
            (Mechanism::Login, Some(username)) => sasl::login(username, message),
            // An empty initial response is an invitation to ask.
            (Mechanism::Login, None) if message.is_empty() => {
                return self.challenge(request, None, now);
            }
            (Mechanism::Login, None) => match sasl::username(message) {
                Some(username) => return self.challenge(request, Some(username), now),
                None => None,
            },
        };
        match credentials {
            Some(credentials) => {
                self.fly(request.id);
                Step::Check(request, credentials)
            }
            None => self.malformed(request),
        }
    }

    fn malformed(&mut self, request: Request) -> Step {
        self.fly(request.id);
        Step::Malformed(request)
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
