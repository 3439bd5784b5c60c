//! The commands of a session and the replies to them (RFC 5321, 3207, 4954).

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, MIME_VERSION_1_0};
use lettre::{Address, Message};
use zeroize::Zeroizing;

use super::log::{Outcome, VisitLog};
use super::stream::{DeadlineStream, Lines, ReplyReader, SmtpStream, timed_out};
use super::visit::{Content, Errand, Mail};
use crate::error::Error;
use crate::model::mailbox::Mailbox;
use crate::model::name::HostName;
use crate::model::smtp_session::{Fault, Stage};

/// How long the answer to QUIT is awaited.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reserved by RFC 2606 §2: no user has them.
const MADE_UP: (&str, &str) = (
    "without-tls@smtpcred.invalid",
    "made up, to see what becomes of it",
);

/// A session with a server, from its greeting on.
pub struct Conversation {
    stream: SmtpStream,
    replies: ReplyReader,
    offers: Offers,
    patience: Duration,
}

/// What the answer to EHLO offers, in any case (RFC 5321 §4.1.1.1).
struct Offers {
    starttls: bool,
    mechanism: Option<Mechanism>,
    /// The line with the mechanisms.
    auth: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Login,
}

impl Offers {
    /// From lines without their code.
    fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut offers = Self {
            starttls: false,
            mechanism: None,
            auth: None,
        };
        for line in lines {
            let upper = line.to_ascii_uppercase();
            let mut words = upper.split_whitespace();
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("AUTH") => {
                    let names: Vec<_> = words.collect();
                    offers.auth = Some(line.trim().to_owned());
                    offers.mechanism = if names.contains(&"PLAIN") {
                        Some(Mechanism::Plain)
                    } else {
                        names.contains(&"LOGIN").then_some(Mechanism::Login)
                    };
                }
                _ => {}
            }
        }
        offers
    }
}

impl Conversation {
    /// Reads the greeting and sends EHLO.
    pub fn begin(stream: SmtpStream, patience: Duration, log: &mut VisitLog<'_>) -> Outcome<Self> {
        let mut session = Self {
            stream,
            replies: ReplyReader::default(),
            offers: Offers::parse([]),
            patience,
        };
        session.stream.set_patience(patience);
        let greeting = session.reply(Stage::Greeting, "2")?;
        session.expect_no_more(Stage::Greeting)?;
        let first = greeting.text.first().map_or("", String::as_str);
        log.step(Stage::Greeting, format!("{} {first}", greeting.code))?;
        session.ehlo()?;
        Ok(session)
    }

    fn ehlo(&mut self) -> Outcome<()> {
        let reply = self.command(Stage::Hello, "250", &format!("EHLO {}", own_name()))?;
        self.offers = Offers::parse(reply.text.iter().map(String::as_str));
        Ok(())
    }

    /// Returns whether the server offers a mechanism that sends a password.
    pub fn offers_sign_in(&self) -> bool {
        self.offers.mechanism.is_some()
    }

    /// Asks for TLS, and returns the connection to be encrypted before anything else is
    /// sent. What was received in clear is forgotten (RFC 3207 §4.2).
    pub fn starttls(mut self, log: &mut VisitLog<'_>) -> Outcome<DeadlineStream> {
        if !self.offers.starttls {
            return Err(Fault::NoStartTls.into());
        }
        let reply = self.command(Stage::StartTls, "220", "STARTTLS")?;
        log.step(Stage::StartTls, reply.words())?;
        match self.stream {
            SmtpStream::Plain(stream) => Ok(stream),
            SmtpStream::Tls(_) => {
                Err(Error::System("the connection is encrypted already".into()).into())
            }
        }
    }

    /// Goes on after STARTTLS, on the connection that is encrypted now.
    pub fn resume(stream: SmtpStream, patience: Duration, log: &mut VisitLog<'_>) -> Outcome<Self> {
        let mut session = Self {
            stream,
            replies: ReplyReader::default(),
            offers: Offers::parse([]),
            patience,
        };
        session.ehlo()?;
        let offered = session.offers.auth.clone();
        log.step(Stage::Hello, offered.unwrap_or_else(|| "no AUTH".into()))?;
        Ok(session)
    }

    /// Does what the visit is for.
    pub fn run(&mut self, errand: &Errand<'_>, log: &mut VisitLog<'_>) -> Outcome<()> {
        match errand {
            Errand::Look if self.offers_sign_in() => Ok(()),
            Errand::Look => Err(Fault::NoSignIn.into()),
            Errand::WithoutTls => self.sign_in(MADE_UP.0, MADE_UP.1, log),
            Errand::SignIn(credentials) => {
                self.sign_in(credentials.username.as_str(), credentials.password, log)
            }
            Errand::Mail(credentials, mail) => {
                self.sign_in(credentials.username.as_str(), credentials.password, log)?;
                self.send(mail, log)
            }
        }
    }

    /// Signs in with PLAIN (RFC 4616), or LOGIN where there is no PLAIN.
    fn sign_in(&mut self, username: &str, password: &str, log: &mut VisitLog<'_>) -> Outcome<()> {
        let mechanism = match self.offers.mechanism {
            Some(mechanism) => mechanism,
            // Some applications try it without an offer.
            None if log.session.tls.is_none() => Mechanism::Plain,
            None => return Err(Fault::NoSignIn.into()),
        };
        let (name, reply) = if mechanism == Mechanism::Login {
            self.send_secret("AUTH LOGIN", b"", "334")?;
            self.send_secret("", username.as_bytes(), "334")?;
            let reply = self.send_secret("", password.as_bytes(), "235")?;
            ("LOGIN", reply)
        } else {
            let mut plain = Zeroizing::new(Vec::with_capacity(username.len() + password.len() + 2));
            for part in [username, password] {
                plain.push(0);
                plain.extend_from_slice(part.as_bytes());
            }
            ("PLAIN", self.send_secret("AUTH PLAIN ", &plain, "235")?)
        };
        log.step(Stage::SignIn, format!("{name}: {}", reply.words()))
    }

    /// Sends a word and a secret in base64, and keeps no copy of it.
    fn send_secret(&mut self, word: &str, secret: &[u8], wanted: &str) -> Outcome<Lines> {
        let mut line = Zeroizing::new(vec![0; word.len() + secret.len().div_ceil(3) * 4 + 2]);
        let (start, rest) = line.split_at_mut(word.len());
        start.copy_from_slice(word.as_bytes());
        let (middle, end) = rest.split_at_mut(rest.len() - 2);
        STANDARD
            .encode_slice(secret, middle)
            .map_err(|error| Error::System(error.to_string()))?;
        end.copy_from_slice(b"\r\n");
        self.say(Stage::SignIn, wanted, &line)
    }

    fn send(&mut self, mail: &Mail<'_>, log: &mut VisitLog<'_>) -> Outcome<()> {
        let command = format!("MAIL FROM:<{}>", mail.from);
        let reply = self.command(Stage::Sender, "2", &command)?;
        log.step(Stage::Sender, reply.words())?;
        let command = format!("RCPT TO:<{}>", mail.to);
        let reply = self.command(Stage::Recipient, "2", &command)?;
        log.step(Stage::Recipient, reply.words())?;
        let Some(content) = &mail.content else {
            return Ok(());
        };
        let message = message(mail, content)?;
        self.command(Stage::Message, "354", "DATA")?;
        // From here on it may arrive, whatever the server answers.
        log.session.handed_over = true;
        self.transmit(Stage::Message, &with_dots_stuffed(&message))?;
        let reply = self.reply(Stage::Message, "2")?;
        log.step(Stage::Message, reply.words())
    }

    fn command(&mut self, stage: Stage, wanted: &str, command: &str) -> Outcome<Lines> {
        self.say(stage, wanted, format!("{command}\r\n").as_bytes())
    }

    fn say(&mut self, stage: Stage, wanted: &str, line: &[u8]) -> Outcome<Lines> {
        self.transmit(stage, line)?;
        let reply = self.reply(stage, wanted)?;
        self.expect_no_more(stage)?;
        Ok(reply)
    }

    fn transmit(&mut self, stage: Stage, bytes: &[u8]) -> Outcome<()> {
        self.stream.set_patience(self.patience);
        let written = self.stream.write_all(bytes);
        match written.and_then(|()| self.stream.flush()) {
            Ok(()) => Ok(()),
            Err(error) if timed_out(&error) => Err(Fault::TimedOut(stage).into()),
            Err(_) => Err(Fault::HungUp(stage).into()),
        }
    }

    /// Reads a reply whose code begins with `wanted`. Any other yes is one to something
    /// else.
    fn reply(&mut self, stage: Stage, wanted: &str) -> Outcome<Lines> {
        let reply = self.replies.read(&mut self.stream, stage)?;
        let code = reply.code.to_string();
        if code.starts_with(wanted) {
            return Ok(reply);
        }
        Err(if code.starts_with(['4', '5']) {
            Fault::Reply(stage, reply.refusal()).into()
        } else {
            Fault::Protocol(stage, reply.words()).into()
        })
    }

    /// Fails if more has arrived than was asked for.
    fn expect_no_more(&self, stage: Stage) -> Outcome<()> {
        if self.replies.has_more() {
            let what = "more replies than there were commands".into();
            return Err(Fault::Protocol(stage, what).into());
        }
        Ok(())
    }

    /// Ends the session; what the server answers does not matter.
    pub fn quit(mut self) {
        self.patience = self.patience.min(FAREWELL);
        let _ = self.command(Stage::Message, "2", "QUIT");
    }
}

/// The name of this machine, or the address literal that RFC 5321 §4.1.4 has for a
/// machine without one.
fn own_name() -> String {
    let name = nix::unistd::gethostname().ok();
    let name = name.and_then(|name| name.to_str()?.parse::<HostName>().ok());
    name.map_or_else(|| "[127.0.0.1]".to_owned(), |name| name.as_str().to_owned())
}

/// The content as DATA carries it: each line that begins with a dot gets another one,
/// and a line with a dot ends it (RFC 5321 §4.5.2).
fn with_dots_stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

fn address(mailbox: &Mailbox) -> Result<Address, Fault> {
    let parsed = mailbox.as_str().parse::<Address>();
    parsed.map_err(|error| Fault::Protocol(Stage::Message, format!("{mailbox}: {error}")))
}

/// Composes a message in plain text.
fn message(mail: &Mail<'_>, content: &Content<'_>) -> Result<Vec<u8>, Fault> {
    let [from, to] = [address(mail.from)?, address(mail.to)?];
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let id = format!(
        "<{}.{}@{}>",
        now.as_nanos(),
        std::process::id(),
        from.domain()
    );
    let message = Message::builder()
        .from(lettre::message::Mailbox::new(None, from))
        .to(lettre::message::Mailbox::new(None, to))
        .subject(content.subject)
        .message_id(Some(id))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN)
        .body(content.body.to_owned())
        .map_err(|error| Fault::Protocol(Stage::Message, error.to_string()))?;
    Ok(message.formatted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_in_any_case() {
        let offers = |text: &'static str| Offers::parse(text.lines());
        let some = offers("mail.test\nstarttls\nAuth login plain");
        assert!(some.starttls && some.mechanism == Some(Mechanism::Plain));
        assert!(offers("a\nAUTH LOGIN CRAM-MD5").mechanism == Some(Mechanism::Login));
        let none = offers("AUTHORITY PLAIN\nSTARTTLSX\nAUTH CRAM-MD5");
        assert!(!none.starttls && none.mechanism.is_none());
    }

    #[test]
    fn a_dot_at_the_start_of_a_line_ends_nothing() {
        for (message, sent) in [
            ("a\r\nb\r\n", "a\r\nb\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n..\r\na.\r\n", "..\r\n...\r\na.\r\n.\r\n"),
        ] {
            assert_eq!(with_dots_stuffed(message.as_bytes()), sent.as_bytes());
        }
    }
}
