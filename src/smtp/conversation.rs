//! What is said to the server, by lettre's client.

use std::error::Error as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Rcpt, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
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
    server: ServerInfo,
    patience: Duration,
}

impl Conversation {
    /// Hears the greeting, and says EHLO.
    pub async fn begin(wire: Wire, patience: Duration, log: &mut Log<'_>) -> Outcome<Self> {
        let hello = hello();
        let begun = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &hello);
        let begun = timeout(patience, begun).await;
        let heard = wire.heard();
        let heard = String::from_utf8_lossy(&heard);
        // lettre does both in one.
        let greeting = heard.lines().next().unwrap_or_default().to_owned();
        let stage = match greeting.strip_prefix("220") {
            Some(_) => Stage::Hello,
            None => Stage::Greeting,
        };
        let (code, rest) = greeting.split_at_checked(3).unwrap_or_default();
        let is_smtp = code.bytes().all(|byte| byte.is_ascii_digit())
            && (rest.is_empty() || rest.starts_with([' ', '-']));
        if !(matches!(begun, Ok(Ok(_))) || greeting.is_empty() || is_smtp) {
            let shown: String = greeting.chars().take(SHOWN).collect();
            return Err(Fault::Protocol(stage, format!("it greets with {shown}")).into());
        }
        let smtp = heeded(stage, &wire, begun)?;
        log.step(Stage::Greeting, greeting)?;
        Ok(Self {
            server: smtp.server_info().clone(),
            smtp,
            wire,
            hello,
            patience,
        })
    }

    pub fn offers_sign_in(&self) -> bool {
        self.server.get_auth_mechanism(DEFAULT_MECHANISMS).is_some()
    }

    /// Asks for TLS; the stream has to become encrypted before anything else is said.
    pub async fn starttls(&mut self, log: &mut Log<'_>) -> Outcome<TcpStream> {
        if !self.server.supports_feature(Extension::StartTls) {
            return Err(Fault::NoStartTls.into());
        }
        self.wire.heard();
        let reply = self.say(Stage::StartTls, Starttls).await?;
        // Whatever comes behind it in clear could be somebody else's.
        let heard = self.wire.heard();
        if heard.split_inclusive(|byte| *byte == b'\n').count() > 1 {
            let what = "more than one reply to STARTTLS".to_owned();
            return Err(Fault::Protocol(Stage::StartTls, what).into());
        }
        log.step(Stage::StartTls, words(&reply))?;
        match self.wire.take() {
            Stream::Plain(stream) => Ok(stream),
            other => {
                self.wire.put(other);
                Err(Error::System("the connection is encrypted already".into()).into())
            }
        }
    }

    /// What was offered in clear counts no more: RFC 3207 §4.2.
    pub async fn encrypted(&mut self, stream: Stream, log: &mut Log<'_>) -> Outcome<()> {
        self.wire.put(stream);
        let reply = self
            .say(Stage::Hello, Ehlo::new(self.hello.clone()))
            .await?;
        self.server = ServerInfo::from_response(&reply)
            .map_err(|error| Fault::Protocol(Stage::Hello, error.to_string()))?;
        let line = |line: &&str| {
            line.get(..5)
                .is_some_and(|word| word.eq_ignore_ascii_case("AUTH "))
        };
        let offered = reply.message().find(line).unwrap_or("no AUTH").to_owned();
        log.step(Stage::Hello, offered)
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
        let mechanism = match self.server.get_auth_mechanism(DEFAULT_MECHANISMS) {
            Some(mechanism) => mechanism,
            // Some applications try it all the same.
            None if log.session.tls.is_none() => Mechanism::Plain,
            None => return Err(Fault::NoSignIn.into()),
        };
        let reply = if mechanism == Mechanism::Login {
            self.confide("AUTH LOGIN", b"").await?;
            self.confide("", username.as_bytes()).await?;
            self.confide("", password.as_bytes()).await?
        } else {
            let mut plain = Zeroizing::new(Vec::with_capacity(username.len() + password.len() + 2));
            for part in [username, password] {
                plain.push(0);
                plain.extend_from_slice(part.as_bytes());
            }
            self.confide("AUTH PLAIN ", &plain).await?
        };
        if !reply.has_code(235) {
            return Err(Fault::Protocol(Stage::SignIn, words(&reply)).into());
        }
        log.step(Stage::SignIn, format!("{mechanism}: {}", words(&reply)))
    }

    /// Says a word and a secret in base64, and keeps nothing of it.
    async fn confide(&mut self, word: &str, secret: &[u8]) -> Outcome<Response> {
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
        heeded(Stage::SignIn, &self.wire, said)
    }

    async fn send(&mut self, mail: &Mail<'_>, log: &mut Log<'_>) -> Outcome<()> {
        let [from, to] = [address(mail.from)?, address(mail.to)?];
        let reply = self
            .say(
                Stage::Sender,
                commands::Mail::new(Some(from.clone()), vec![]),
            )
            .await?;
        log.step(Stage::Sender, words(&reply))?;
        let reply = self
            .say(Stage::Recipient, Rcpt::new(to.clone(), vec![]))
            .await?;
        log.step(Stage::Recipient, words(&reply))?;
        let Some(content) = &mail.content else {
            return Ok(());
        };
        let message = message(from, to, content)?;
        self.say(Stage::Message, Data).await?;
        let sent = timeout(self.patience, self.smtp.message(&message)).await;
        let reply = heeded(Stage::Message, &self.wire, sent)?;
        log.step(Stage::Message, words(&reply))
    }

    async fn say(&mut self, stage: Stage, command: impl std::fmt::Display) -> Outcome<Response> {
        let said = timeout(self.patience, self.smtp.command(command)).await;
        heeded(stage, &self.wire, said)
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

fn heeded<T>(
    stage: Stage,
    wire: &Wire,
    answer: Result<Result<T, Failure>, tokio::time::error::Elapsed>,
) -> Outcome<T> {
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
    let message = Message::builder()
        .from(lettre::message::Mailbox::new(None, from))
        .to(lettre::message::Mailbox::new(None, to))
        .subject(content.subject)
        .message_id(None)
        .body(content.body.to_owned())
        .map_err(|error| Fault::Protocol(Stage::Message, error.to_string()))?;
    Ok(message.formatted())
}
