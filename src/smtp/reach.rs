//! The way to a server: its address, the connection, TLS; and what is there
//! instead where the way ends.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::conversation::Conversation;
use super::tls::Handshake;
use super::wire::{Stream, Wire};
use super::{Credentials, Errand, Visit};
use crate::error::{Error, Result};
use crate::model::server::Server;
use crate::model::session::{Fault, Session, Stage, Step};
use crate::model::settings::Encryption;

/// A server that has not greeted for so long may be waiting for TLS.
const SILENCE: Duration = Duration::from_secs(4);

/// Why a visit ended early.
pub enum Stop {
    Fault(Fault),
    /// Of this machine, or of whoever is told.
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

pub type Outcome<T> = std::result::Result<T, Stop>;

/// What a visit writes down.
pub struct Log<'a> {
    pub session: Session,
    each: &'a mut dyn FnMut(&Step) -> Result<()>,
    since: Instant,
    /// What no server may have us repeat.
    secret: Option<Credentials<'a>>,
}

impl Log<'_> {
    /// Without the password, as it is and as it went over the wire: servers tell what
    /// they did not understand.
    fn concealed(&self, mut said: String) -> String {
        let Some(Credentials { username, password }) = self.secret else {
            return said;
        };
        let plain = Zeroizing::new(format!("\0{username}\0{password}"));
        let forms = [
            Zeroizing::new(password.to_owned()),
            Zeroizing::new(STANDARD.encode(password)),
            Zeroizing::new(STANDARD.encode(plain.as_bytes())),
        ];
        for form in forms {
            // What is shorter is in every text, and no password that anybody has.
            if form.len() >= 4 && said.contains(form.as_str()) {
                said = said.replace(form.as_str(), "[PASSWORD]");
            }
        }
        said
    }

    /// A step was taken, which began where the last one ended.
    pub fn step(&mut self, stage: Stage, said: String) -> Outcome<()> {
        let step = Step {
            stage,
            took: self.since.elapsed(),
            said: self.concealed(said),
        };
        self.since = Instant::now();
        (self.each)(&step)?;
        self.session.steps.push(step);
        Ok(())
    }
}

pub async fn visit<'a>(
    visit: &Visit<'a>,
    each: &'a mut dyn FnMut(&Step) -> Result<()>,
) -> Result<Session> {
    let mut log = Log {
        session: Session::default(),
        each,
        since: Instant::now(),
        secret: match visit.errand {
            Errand::SignIn(credentials) | Errand::Mail(credentials, _) => Some(credentials),
            Errand::Look | Errand::WithoutTls => None,
        },
    };
    match go(visit, &mut log).await {
        Ok(()) => {}
        Err(Stop::Fault(fault)) => {
            log.session.fault = Some(match fault {
                Fault::Reply(stage, mut reply) => {
                    reply.text = log.concealed(reply.text);
                    Fault::Reply(stage, reply)
                }
                Fault::Protocol(stage, what) => Fault::Protocol(stage, log.concealed(what)),
                other => other,
            });
            log.session.failed_after = log.since.elapsed();
        }
        Err(Stop::Error(error)) => return Err(error),
    }
    Ok(log.session)
}

async fn go(visit: &Visit<'_>, log: &mut Log<'_>) -> Outcome<()> {
    let server = visit.server;
    let patience = visit.patience;
    let in_clear = matches!(visit.errand, Errand::WithoutTls);
    let at_once = server.port.encryption == Encryption::Tls && !in_clear;
    let addresses = lookup(visit, log).await?;
    let (stream, address) = connect(&addresses, patience, log).await?;
    let wire = if at_once {
        Wire::new(shake(visit, stream, address, log).await?)
    } else {
        greets(&stream, server, address, patience).await?;
        Wire::new(Stream::Plain(stream))
    };
    let mut conversation = Conversation::begin(wire, patience, log).await?;
    if !at_once {
        log.session.sign_in_in_clear = conversation.offers_sign_in();
        if !in_clear {
            let stream = conversation.starttls(log).await?;
            let stream = shake(visit, stream, address, log).await?;
            conversation.encrypted(stream, log).await?;
        }
    }
    let done = conversation.run(&visit.errand, log).await;
    conversation.quit().await;
    done
}

async fn lookup(visit: &Visit<'_>, log: &mut Log<'_>) -> Outcome<Vec<SocketAddr>> {
    let Server { host, port } = visit.server;
    if let Some(address) = visit.address {
        return Ok(vec![SocketAddr::new(address, port.number)]);
    }
    let found = timeout(
        visit.patience,
        tokio::net::lookup_host((host.as_str(), port.number)),
    );
    let found: Vec<_> = match found.await {
        Err(_) => return Err(Fault::TimedOut(Stage::Lookup).into()),
        Ok(Err(error)) => return Err(unknown_host(&error).into()),
        Ok(Ok(found)) => found.collect(),
    };
    if found.is_empty() {
        return Err(Fault::NoSuchHost.into());
    }
    let listed: Vec<_> = found
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    log.step(Stage::Lookup, listed.join(" "))?;
    Ok(found)
}

/// What getaddrinfo(3) says has no number of its own here.
fn unknown_host(error: &io::Error) -> Fault {
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or_default().to_owned();
    let certain = [
        "Name or service not known",
        "No address associated with hostname",
    ];
    // musl's words.
    if certain.contains(&reason.as_str()) || reason == "Name does not resolve" {
        Fault::NoSuchHost
    } else {
        Fault::Lookup(reason)
    }
}

async fn connect(
    addresses: &[SocketAddr],
    patience: Duration,
    log: &mut Log<'_>,
) -> Outcome<(TcpStream, SocketAddr)> {
    let mut failed = Vec::new();
    let mut worst = None;
    for address in addresses {
        let fault = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                failed.insert(0, address.to_string());
                log.step(Stage::Connect, failed.join("; "))?;
                return Ok((stream, *address));
            }
            Err(_) => Fault::TimedOut(Stage::Connect),
            Ok(Err(error)) => match error.kind() {
                ErrorKind::ConnectionRefused => Fault::Refused,
                ErrorKind::TimedOut => Fault::TimedOut(Stage::Connect),
                _ => Fault::Unreachable(error.to_string()),
            },
        };
        failed.push(format!("not {address}: {fault}"));
        // An address of a kind that this machine has no way for tells the least.
        if worst.is_none() || !matches!(fault, Fault::Unreachable(_)) {
            worst = Some(fault);
        }
    }
    Err(worst.unwrap_or(Fault::NoSuchHost).into())
}

async fn shake(
    visit: &Visit<'_>,
    stream: TcpStream,
    address: SocketAddr,
    log: &mut Log<'_>,
) -> Outcome<Stream> {
    let at_once = visit.server.port.encryption == Encryption::Tls;
    let handshake = Handshake::new(&visit.server.host)?;
    let shaken = timeout(visit.patience, handshake.shake(stream)).await;
    let (stream, tls) = match shaken {
        Err(_) => return Err(Fault::TimedOut(Stage::Tls).into()),
        // After STARTTLS it has spoken in clear, as it should.
        Ok(Err(Fault::SpeaksPlain)) if !at_once => {
            return Err(Fault::TlsFailed("what came is no TLS".into()).into());
        }
        // Some servers hang up on what they take for nonsense.
        Ok(Err(Fault::TlsFailed(_))) if at_once && greets_in_clear(address).await => {
            return Err(Fault::SpeaksPlain.into());
        }
        Ok(Err(fault)) => return Err(fault.into()),
        Ok(Ok(shaken)) => shaken,
    };
    let said = match &tls.certificate {
        None => tls.version.to_owned(),
        Some(certificate) => format!("{}, certificate {certificate}", tls.version),
    };
    log.session.tls = Some(tls);
    log.step(Stage::Tls, said)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Waits for a first byte; a server that says nothing may be waiting for TLS.
async fn greets(
    stream: &TcpStream,
    server: &Server,
    address: SocketAddr,
    patience: Duration,
) -> Outcome<()> {
    let since = Instant::now();
    let first = SILENCE.min(patience / 2);
    if timeout(first, stream.readable()).await.is_ok() {
        return Ok(());
    }
    let handshake = Handshake::new(&server.host)?;
    let speaks = async {
        let stream = TcpStream::connect(address).await.ok()?;
        match handshake.shake(stream).await {
            Ok(_) | Err(Fault::Distrusted(..)) => Some(()),
            Err(_) => None,
        }
    };
    if let Ok(Some(())) = timeout(first, speaks).await {
        return Err(Fault::SpeaksTls.into());
    }
    let left = patience.saturating_sub(since.elapsed());
    match timeout(left, stream.readable()).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::TimedOut(Stage::Greeting).into()),
    }
}

async fn greets_in_clear(address: SocketAddr) -> bool {
    let heard = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let mut first = [0; 3];
        stream.readable().await.ok()?;
        let read = stream.try_read(&mut first).ok()?;
        first[..read]
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(read == 3)
    };
    matches!(timeout(SILENCE, heard).await, Ok(Some(true)))
}
