//! The way to a server: its address, the connection, TLS; and what is there instead
//! where the way ends.

use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::conversation::Conversation;
use super::log::{Outcome, VisitLog};
use super::stream::{DeadlineStream, SmtpStream};
use super::tls::TlsClient;
use super::visit::{Errand, Visit};
use crate::error::Error;
use crate::model::host_port::HostPort;
use crate::model::settings::Encryption;
use crate::model::smtp_session::{Fault, Stage};

/// A server that has not greeted for this long may be waiting for TLS.
const SILENCE: Duration = Duration::from_secs(4);

/// Goes to the server, does what the visit is for, and leaves.
pub fn visit(visit: &Visit<'_>, log: &mut VisitLog<'_>) -> Outcome<()> {
    let server = visit.server;
    let patience = visit.patience;
    let in_clear = matches!(visit.errand, Errand::WithoutTls);
    let at_once = server.port.encryption == Encryption::Tls && !in_clear;
    let addresses = lookup(visit, log)?;
    let (stream, address) = connect(&addresses, patience, log)?;
    let stream = if at_once {
        shake(visit, stream, address, log)?
    } else {
        greets(&stream, server, address, patience)?;
        SmtpStream::Plain(stream)
    };
    let mut conversation = Conversation::begin(stream, patience, log)?;
    if !at_once {
        log.session.sign_in_in_clear = conversation.offers_sign_in();
        if !in_clear {
            let stream = conversation.starttls(log)?;
            let stream = shake(visit, stream, address, log)?;
            conversation = Conversation::resume(stream, patience, log)?;
        }
    }
    let done = conversation.run(&visit.errand, log);
    conversation.quit();
    done
}

fn lookup(visit: &Visit<'_>, log: &mut VisitLog<'_>) -> Outcome<Vec<SocketAddr>> {
    let HostPort { host, port } = visit.server;
    if let Some(address) = visit.address {
        return Ok(vec![SocketAddr::new(address, port.number)]);
    }
    // getaddrinfo(3) has no deadline: a thread that waits for longer is left behind.
    let (sender, receiver) = mpsc::channel();
    let name = (host.as_str().to_owned(), port.number);
    std::thread::Builder::new()
        .spawn(move || {
            let found = name.to_socket_addrs();
            // After the deadline, the receiver is gone.
            let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
        })
        .map_err(|error| Error::System(format!("a thread cannot be started: {error}")))?;
    let found = match receiver.recv_timeout(visit.patience) {
        Err(_) => return Err(Fault::TimedOut(Stage::Lookup).into()),
        Ok(Err(error)) => return Err(unknown_host(&error).into()),
        Ok(Ok(found)) => found,
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

/// Tells a name that does not exist from a DNS that does not answer. The standard
/// library passes the text of getaddrinfo(3) on, and not its number.
fn unknown_host(error: &io::Error) -> Fault {
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or_default().to_owned();
    let certain = [
        "Name or service not known",
        "No address associated with hostname",
        // musl's text
        "Name does not resolve",
    ];
    if certain.contains(&reason.as_str()) {
        Fault::NoSuchHost
    } else {
        Fault::Lookup(reason)
    }
}

fn connect(
    addresses: &[SocketAddr],
    patience: Duration,
    log: &mut VisitLog<'_>,
) -> Outcome<(DeadlineStream, SocketAddr)> {
    let mut failed = Vec::new();
    let mut worst = None;
    for address in addresses {
        let fault = match TcpStream::connect_timeout(address, patience) {
            Ok(stream) => {
                // Each command is one write, and its reply is awaited.
                let _ = stream.set_nodelay(true);
                failed.insert(0, address.to_string());
                log.step(Stage::Connect, failed.join("; "))?;
                return Ok((DeadlineStream::new(stream, patience), *address));
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused => Fault::Refused,
                ErrorKind::TimedOut => Fault::TimedOut(Stage::Connect),
                _ => Fault::Unreachable(error.to_string()),
            },
        };
        failed.push(format!("not {address}: {fault}"));
        // An address of a family without a route says the least.
        if worst.is_none() || !matches!(fault, Fault::Unreachable(_)) {
            worst = Some(fault);
        }
    }
    Err(worst.unwrap_or(Fault::NoSuchHost).into())
}

fn shake(
    visit: &Visit<'_>,
    stream: DeadlineStream,
    address: SocketAddr,
    log: &mut VisitLog<'_>,
) -> Outcome<SmtpStream> {
    let at_once = visit.server.port.encryption == Encryption::Tls;
    let client = TlsClient::new(&visit.server.host, visit.any_certificate)?;
    let (stream, tls) = match client.handshake(stream.with_patience(visit.patience)) {
        // After STARTTLS it has spoken in clear, as it should.
        Err(Fault::SpeaksPlain) if !at_once => {
            return Err(
                Fault::TlsFailed("the reply to the TLS handshake is not TLS".into()).into(),
            );
        }
        // Some servers hang up on what they do not understand.
        Err(Fault::TlsFailed(_)) if at_once && greets_in_clear(address) => {
            return Err(Fault::SpeaksPlain.into());
        }
        Err(fault) => return Err(fault.into()),
        Ok(shaken) => shaken,
    };
    let said = match &tls.certificate {
        None => tls.version.to_owned(),
        Some(certificate) => format!("{}, certificate {certificate}", tls.version),
    };
    log.session.tls = Some(tls);
    log.step(Stage::Tls, said)?;
    Ok(stream)
}

/// Waits for a first byte; a server that stays silent may be waiting for TLS.
fn greets(
    stream: &DeadlineStream,
    server: &HostPort,
    address: SocketAddr,
    patience: Duration,
) -> Outcome<()> {
    let since = Instant::now();
    let first = SILENCE.min(patience / 2);
    if stream.readable_within(first) {
        return Ok(());
    }
    let client = TlsClient::new(&server.host, true)?;
    if let Ok(other) = TcpStream::connect_timeout(&address, first) {
        let shaken = client.handshake(DeadlineStream::new(other, first));
        if matches!(shaken, Ok(_) | Err(Fault::Distrusted(..))) {
            return Err(Fault::SpeaksTls.into());
        }
    }
    if stream.readable_within(patience.saturating_sub(since.elapsed())) {
        return Ok(());
    }
    Err(Fault::TimedOut(Stage::Greeting).into())
}

fn greets_in_clear(address: SocketAddr) -> bool {
    let greeting = || {
        let stream = TcpStream::connect_timeout(&address, SILENCE).ok()?;
        let mut first = [0; 3];
        DeadlineStream::new(stream, SILENCE)
            .read_exact(&mut first)
            .ok()?;
        Some(first.iter().all(u8::is_ascii_digit))
    };
    greeting().unwrap_or(false)
}
