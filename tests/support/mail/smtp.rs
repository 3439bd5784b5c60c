//! An SMTP client that speaks as an application does, and tells all it hears.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::tls::{Certificate, HOST};

/// For one reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server said: the code, and the text of all lines without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// While it becomes another.
    None,
}

pub struct Smtp {
    stream: Stream,
    received: Vec<u8>,
    client: Arc<ClientConfig>,
    /// What the server said first.
    pub greeting: Reply,
}

impl Smtp {
    /// In the clear, as all begin on port 25 and 587.
    pub fn connect(port: u16, certificate: &Certificate) -> io::Result<Self> {
        Self::new(Stream::Plain(tcp(port)?), certificate)
    }

    /// TLS from the first byte, as on port 465.
    pub fn connect_tls(port: u16, certificate: &Certificate) -> io::Result<Self> {
        Self::new(tls(tcp(port)?, &certificate.client)?, certificate)
    }

    fn new(stream: Stream, certificate: &Certificate) -> io::Result<Self> {
        let greeting = Reply {
            code: 0,
            text: String::new(),
        };
        let mut smtp = Self {
            stream,
            received: Vec::new(),
            client: certificate.client.clone(),
            greeting,
        };
        smtp.greeting = smtp.reply()?;
        Ok(smtp)
    }

    /// Ready to sign in, on a port with STARTTLS.
    pub fn submission(port: u16, certificate: &Certificate) -> Self {
        Self::try_submission(port, certificate).expect("a session")
    }

    /// The same where the server may hang up.
    pub fn try_submission(port: u16, certificate: &Certificate) -> io::Result<Self> {
        let mut smtp = Self::connect(port, certificate)?;
        smtp.try_ehlo()?;
        assert_eq!(smtp.try_starttls()?.code, 220);
        smtp.try_ehlo()?;
        Ok(smtp)
    }

    /// Ready to sign in, on a port with TLS alone.
    pub fn submissions(port: u16, certificate: &Certificate) -> Self {
        let mut smtp = Self::connect_tls(port, certificate).expect("a greeting");
        smtp.ehlo();
        smtp
    }

    /// One command and its reply, if the server does not hang up.
    pub fn try_command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// One command and its reply.
    pub fn command(&mut self, line: &str) -> Reply {
        self.try_command(line)
            .unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// What the server offers; it must say so.
    pub fn ehlo(&mut self) -> Reply {
        self.try_ehlo().expect("an answer to EHLO")
    }

    fn try_ehlo(&mut self) -> io::Result<Reply> {
        let reply = self.try_command("EHLO client.test")?;
        assert_eq!(reply.code, 250, "{reply:?}");
        Ok(reply)
    }

    /// TLS follows if the server agrees; say EHLO then.
    pub fn starttls(&mut self) -> Reply {
        self.try_starttls().expect("an answer to STARTTLS")
    }

    fn try_starttls(&mut self) -> io::Result<Reply> {
        let reply = self.try_command("STARTTLS")?;
        if reply.code == 220 {
            assert!(self.received.is_empty(), "more than an answer to STARTTLS");
            let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::None) else {
                panic!("TLS within TLS");
            };
            self.stream = tls(stream, &self.client)?;
        }
        Ok(reply)
    }

    pub fn auth_plain(&mut self, user: &str, password: &str, initial_response: bool) -> Reply {
        self.try_auth_plain(user, password, initial_response)
            .expect("an answer to AUTH PLAIN")
    }

    /// Signs in, which must succeed.
    pub fn signed_in(mut self, user: &str, password: &str) -> Self {
        let reply = self.auth_plain(user, password, true);
        assert_eq!(reply.code, 235, "{reply:?}");
        self
    }

    pub fn try_auth_plain(
        &mut self,
        user: &str,
        password: &str,
        initial_response: bool,
    ) -> io::Result<Reply> {
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        if initial_response {
            return self.try_command(&format!("AUTH PLAIN {response}"));
        }
        self.dialog("AUTH PLAIN", &[&response])
    }

    pub fn auth_login(&mut self, user: &str, password: &str, initial_response: bool) -> Reply {
        self.try_auth_login(user, password, initial_response)
            .expect("an answer to AUTH LOGIN")
    }

    pub fn try_auth_login(
        &mut self,
        user: &str,
        password: &str,
        initial_response: bool,
    ) -> io::Result<Reply> {
        let [user, password] = [user, password].map(|text| STANDARD.encode(text));
        if initial_response {
            return self.dialog(&format!("AUTH LOGIN {user}"), &[&password]);
        }
        self.dialog("AUTH LOGIN", &[&user, &password])
    }

    /// Goes on for as long as the server asks; the reply to the last.
    fn dialog(&mut self, first: &str, answers: &[&str]) -> io::Result<Reply> {
        let mut reply = self.try_command(first)?;
        for answer in answers {
            if reply.code != 334 {
                break;
            }
            reply = self.try_command(answer)?;
        }
        Ok(reply)
    }

    pub fn mail(&mut self, from: &str) -> Reply {
        self.command(&format!("MAIL FROM:<{from}>"))
    }

    pub fn rcpt(&mut self, to: &str) -> Reply {
        self.command(&format!("RCPT TO:<{to}>"))
    }

    /// The reply to the message, or to DATA if that is refused. Lines end with
    /// LF here.
    pub fn data(&mut self, message: &str) -> Reply {
        self.try_data(message).expect("an answer to the message")
    }

    fn try_data(&mut self, message: &str) -> io::Result<Reply> {
        let reply = self.try_command("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        let mut wire = String::new();
        for line in message.lines() {
            let dot = if line.starts_with('.') { "." } else { "" };
            wire.extend([dot, line, "\r\n"]);
        }
        self.try_command(&(wire + "."))
    }

    /// A whole message to one recipient: the first reply that is a refusal, or
    /// the last. Another can follow in any case.
    pub fn send_message(&mut self, from: &str, to: &str) -> Reply {
        self.try_send_message(from, to).expect("an answer")
    }

    pub fn try_send_message(&mut self, from: &str, to: &str) -> io::Result<Reply> {
        let mut reply = self.try_command(&format!("MAIL FROM:<{from}>"))?;
        if reply.code == 250 {
            reply = self.try_command(&format!("RCPT TO:<{to}>"))?;
        }
        if reply.code == 250 {
            let message = format!("From: {from}\nTo: {to}\nSubject: test\n\ntest\n");
            reply = self.try_data(&message)?;
        }
        if reply.code != 250 {
            // Postfix goes on with a message that it refused at its end.
            self.try_command("RSET")?;
        }
        Ok(reply)
    }

    pub fn quit(mut self) -> Reply {
        self.command("QUIT")
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::None => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Reads one reply, which may be of many lines.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let deadline = Instant::now() + PATIENCE;
        let mut text = Vec::new();
        loop {
            let line = self.line(deadline)?;
            let odd = || Error::new(ErrorKind::InvalidData, format!("not a reply: {line:?}"));
            let (code, rest) = line.split_at_checked(3).ok_or_else(odd)?;
            let code = code.parse().map_err(|_| odd())?;
            text.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                let text = text.join("\n");
                return Ok(Reply { code, text });
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> io::Result<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(Error::other);
            }
            let mut bytes = [0; 4096];
            let count = self.read(&mut bytes, deadline)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&bytes[..count]);
        }
    }

    fn read(&mut self, bytes: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Some(left.max(Duration::from_millis(1)));
        match &mut self.stream {
            Stream::Plain(stream) => {
                stream.set_read_timeout(left)?;
                stream.read(bytes)
            }
            Stream::Tls(stream) => {
                stream.sock.set_read_timeout(left)?;
                stream.read(bytes)
            }
            Stream::None => Err(ErrorKind::NotConnected.into()),
        }
    }
}

fn tcp(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Ends with the handshake done, so that a bad certificate shows here.
fn tls(mut stream: TcpStream, client: &Arc<ClientConfig>) -> io::Result<Stream> {
    let host = HOST.try_into().map_err(Error::other)?;
    let mut connection = ClientConnection::new(client.clone(), host).map_err(Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
}
