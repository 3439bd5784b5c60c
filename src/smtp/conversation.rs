//! What is said to the server, by lettre's client.

use std::error::Error as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, MIME_VERSION_1_0};
#[expect(deprecated, reason = "the only way to forget what came in clear")]
use lettre::transport::smtp::client::AsyncNetworkStream;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Rcpt, Starttls};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{Error as Failure, commands};
use lettre::{Address, Message};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::reach::{Log, Outcome};
use super::wire::{Stream, Wire};
use super::{Content, Errand, Mail};
use crate::error::Error;
use crate::model::mailbox::Mailbox;
use crate::model::name::HostName;
use crate::model::session::{Fault, Reply, Stage};

/// To say goodbye is no duty.
const FAREWELL: Duration = Duration::from_secs(2);

/// Nobody's: RFC 2606 §2.
const MADE_UP: (&str, &str) = (
    "without-tls@smtpcred.invalid",
    "made up, to see what becomes of it",
);

/// Of a line that should be shorter, in characters.
const SHOWN: usize = 80;

pub struct Conversation {
    smtp: AsyncSmtpConnection,
    wire: Wire,
    hello: ClientId,
    offers: Offers,
    patience: Duration,
}

/// What EHLO is answered with, in any case: RFC 5321 §4.1.1.1.
struct Offers {
    starttls: bool,
    mechanism: Option<Mechanism>,
    /// The line that says so.
    auth: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Login,
}

impl Offers {
    /// From lines without their code.
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
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
                    let mut words = words.collect::<Vec<_>>().into_iter();
                    offers.auth = Some(line.trim().to_owned());
                    offers.mechanism = if words.clone().any(|word| word == "PLAIN") {
                        Some(Mechanism::Plain)
                    } else {
                        words
                            .any(|word| word == "LOGIN")
                            .then_some(Mechanism::Login)
                    };
                }
                _ => {}
            }
        }
        offers
    }
}

impl Conversation {
    /// Hears the greeting, and says EHLO.
    pub async fn begin(wire: Wire, patience: Duration, log: &mut Log<'_>) -> Outcome<Self> {
        let hello = hello();
        // lettre does both in one.
        let begun = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &hello);
        let begun = timeout(patience, begun).await;
        let heard = wire.heard();
        let greeting = heard.text.lines().next().unwrap_or_default().to_owned();
        let stage = match heard.replies {
            0 => Stage::Greeting,
            _ if !greeting.starts_with('2') => Stage::Greeting,
            _ => Stage::Hello,
        };
        let (code, rest) = greeting.split_at_checked(3).unwrap_or_default();
        let is_smtp = code.bytes().all(|byte| byte.is_ascii_digit())
            && (rest.is_empty() || rest.starts_with([' ', '-']));
        if !(matches!(begun, Ok(Ok(_))) || greeting.is_empty() || is_smtp) {
            let shown: String = greeting.chars().take(SHOWN).collect();
            return Err(Fault::Protocol(stage, format!("it greets with {shown}")).into());
        }
        let smtp = heeded(stage, &wire, begun)?;
        if heard.replies > 2 {
            return Err(too_much(Stage::Hello).into());
        }
        log.step(Stage::Greeting, greeting)?;
        let offered = heard
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("250"));
        Ok(Self {
            offers: Offers::read(offered.filter_map(|line| line.get(1..))),
            smtp,
            wire,
            hello,
            patience,
        })
    }

    pub fn offers_sign_in(&self) -> bool {
        self.offers.mechanism.is_some()
    }

    /// Asks for TLS; the stream has to become encrypted before anything else is said.
    pub async fn starttls(&mut self, log: &mut Log<'_>) -> Outcome<TcpStream> {
        if !self.offers.starttls {
            return Err(Fault::NoStartTls.into());
        }
        let reply = self.say(Stage::StartTls, "220", Starttls).await?;
        log.step(Stage::StartTls, words(&reply))?;
        match self.wire.take() {
            Stream::Plain(stream) => Ok(stream),
            other => {
                self.wire.put(other);
                Err(Error::System("the connection is encrypted already".into()).into())
            }
        }
    }

    /// What was said in clear counts no more: RFC 3207 §4.2, and what was not read of
    /// it could be anybody's.
    pub async fn encrypted(&mut self, stream: Stream, log: &mut Log<'_>) -> Outcome<()> {
        self.wire.put(stream);
        #[expect(deprecated, reason = "the only way to forget what came in clear")]
        let anew = AsyncNetworkStream::use_existing_tokio1(Box::new(self.wire.clone()));
        self.smtp.set_stream(anew);
        let reply = self
            .say(Stage::Hello, "250", Ehlo::new(self.hello.clone()))
            .await?;
        self.offers = Offers::read(reply.message());
        let offered = self.offers.auth.clone();
        log.step(Stage::Hello, offered.unwrap_or_else(|| "no AUTH".into()))
    }

    pub async fn run(&mut self, errand: &Errand<'_>, log: &mut Log<'_>) -> Outcome<()> {
        match errand {
            Errand::Look if self.offers_sign_in() => Ok(()),
            Errand::Look => Err(Fault::NoSignIn.into()),
            Errand::WithoutTls => self.sign_in(MADE_UP.0, MADE_UP.1, log).await,
            Errand::SignIn(credentials) => {
                self.sign_in(credentials.username.as_str(), credentials.password, log)
                    .await
            }
            Errand::Mail(credentials, mail) => {
                self.sign_in(credentials.username.as_str(), credentials.password, log)
                    .await?;
                self.send(mail, log).await
            }
        }
    }

    /// PLAIN (RFC 4616) or LOGIN. Not by lettre, which leaves copies of the
    /// password behind.
    async fn sign_in(&mut self, username: &str, password: &str, log: &mut Log<'_>) -> Outcome<()> {
        let mechanism = match self.offers.mechanism {
            Some(mechanism) => mechanism,
            // Some applications try it all the same.
            None if log.session.tls.is_none() => Mechanism::Plain,
            None => return Err(Fault::NoSignIn.into()),
        };
        let (name, reply) = if mechanism == Mechanism::Login {
            self.confide("AUTH LOGIN", b"", "334").await?;
            self.confide("", username.as_bytes(), "334").await?;
            ("LOGIN", self.confide("", password.as_bytes(), "235").await?)
        } else {
            let mut plain = Zeroizing::new(Vec::with_capacity(username.len() + password.len() + 2));
            for part in [username, password] {
                plain.push(0);
                plain.extend_from_slice(part.as_bytes());
            }
            ("PLAIN", self.confide("AUTH PLAIN ", &plain, "235").await?)
        };
        log.step(Stage::SignIn, format!("{name}: {}", words(&reply)))
    }

    /// Says a word and a secret in base64, and keeps nothing of it.
    async fn confide(&mut self, word: &str, secret: &[u8], wanted: &str) -> Outcome<Response> {
        let mut line = Zeroizing::new(vec![0; word.len() + secret.len().div_ceil(3) * 4 + 2]);
        let (start, rest) = line.split_at_mut(word.len());
        start.copy_from_slice(word.as_bytes());
        let (middle, end) = rest.split_at_mut(rest.len() - 2);
        STANDARD
            .encode_slice(secret, middle)
            .map_err(|error| Error::System(error.to_string()))?;
        end.copy_from_slice(b"\r\n");
        let wire = &mut self.wire;
        let written = timeout(self.patience, async {
            wire.write_all(&line).await?;
            wire.flush().await
        });
        match written.await {
            Err(_) => return Err(Fault::TimedOut(Stage::SignIn).into()),
            Ok(Err(_)) => return Err(Fault::HungUp(Stage::SignIn).into()),
            Ok(Ok(())) => {}
        }
        let said = timeout(self.patience, self.smtp.read_response()).await;
        self.wanted(Stage::SignIn, wanted, said)
    }

    async fn send(&mut self, mail: &Mail<'_>, log: &mut Log<'_>) -> Outcome<()> {
        let [from, to] = [address(mail.from)?, address(mail.to)?];
        let command = commands::Mail::new(Some(from.clone()), vec![]);
        let reply = self.say(Stage::Sender, "2", command).await?;
        log.step(Stage::Sender, words(&reply))?;
        let command = Rcpt::new(to.clone(), vec![]);
        let reply = self.say(Stage::Recipient, "2", command).await?;
        log.step(Stage::Recipient, words(&reply))?;
        let Some(content) = &mail.content else {
            return Ok(());
        };
        let message = message(from, to, content)?;
        self.say(Stage::Message, "354", Data).await?;
        // From here on it may arrive, whatever is said of it.
        log.session.handed_over = true;
        let sent = timeout(self.patience, self.smtp.message(&message)).await;
        let reply = self.wanted(Stage::Message, "2", sent)?;
        log.step(Stage::Message, words(&reply))
    }

    async fn say(
        &mut self,
        stage: Stage,
        wanted: &str,
        command: impl std::fmt::Display,
    ) -> Outcome<Response> {
        self.wire.heard();
        let said = timeout(self.patience, self.smtp.command(command)).await;
        let reply = self.wanted(stage, wanted, said)?;
        if self.wire.heard().replies > 1 {
            return Err(too_much(stage).into());
        }
        Ok(reply)
    }

    /// One whose code begins so: what lettre takes for a yes may be one to something else.
    fn wanted(&self, stage: Stage, wanted: &str, said: Answer<Response>) -> Outcome<Response> {
        let reply = heeded(stage, &self.wire, said)?;
        if reply.code().to_string().starts_with(wanted) {
            return Ok(reply);
        }
        Err(Fault::Protocol(stage, words(&reply)).into())
    }

    pub async fn quit(&mut self) {
        // What there was to know is known.
        let _ = timeout(FAREWELL, self.smtp.quit()).await;
    }
}

/// As programs do that have no name to give, where this machine has none.
fn hello() -> ClientId {
    let name = nix::unistd::gethostname().ok();
    let name = name.and_then(|name| name.to_str()?.parse::<HostName>().ok());
    name.map_or_else(ClientId::default, |name| {
        ClientId::Domain(name.as_str().to_owned())
    })
}

type Answer<T> = Result<Result<T, Failure>, tokio::time::error::Elapsed>;

fn too_much(stage: Stage) -> Fault {
    Fault::Protocol(stage, "more replies than there were commands".into())
}

fn heeded<T>(stage: Stage, wire: &Wire, answer: Answer<T>) -> Outcome<T> {
    let error = match answer {
        Err(_) => return Err(Fault::TimedOut(stage).into()),
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
    };
    let fault = match error.status() {
        Some(code) => {
            let text = error.source().map(ToString::to_string).unwrap_or_default();
            let code = code.into();
            Fault::Reply(stage, Reply { code, text })
        }
        None if wire.has_ended() => Fault::HungUp(stage),
        None => Fault::Protocol(stage, described(&error)),
    };
    Err(fault.into())
}

fn words(reply: &Response) -> String {
    let text: Vec<_> = reply.message().collect();
    format!("{} {}", reply.code(), text.join(" "))
}

/// With its causes.
fn described(error: &Failure) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn address(mailbox: &Mailbox) -> Result<Address, Fault> {
    let parsed = mailbox.as_str().parse::<Address>();
    parsed.map_err(|error| Fault::Protocol(Stage::Sender, format!("{mailbox}: {error}")))
}

fn message(from: Address, to: Address, content: &Content) -> Result<Vec<u8>, Fault> {
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
    fn what_is_offered_is_offered_in_any_case() {
        let offers = |text: &'static str| Offers::read(text.lines());
        let some = offers("mail.test\nstarttls\nAuth login plain");
        assert!(some.starttls && some.mechanism == Some(Mechanism::Plain));
        assert!(offers("a\nAUTH LOGIN CRAM-MD5").mechanism == Some(Mechanism::Login));
        let none = offers("AUTHORITY PLAIN\nSTARTTLSX\nAUTH CRAM-MD5");
        assert!(!none.starttls && none.mechanism.is_none());
    }
}
