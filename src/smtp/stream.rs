//! A blocking connection with a deadline, in clear or encrypted, and the replies that
//! arrive on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::model::smtp_session::{Fault, Reply, Stage};

/// A TCP connection on which each read and write ends by a deadline.
pub struct DeadlineStream {
    stream: TcpStream,
    deadline: Instant,
}

impl DeadlineStream {
    /// Gives a connection this long from now.
    pub fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            deadline: Instant::now() + patience,
        }
    }

    /// Gives it this long from now.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self::new(self.stream, patience)
    }

    /// The time that is left; an error if there is none.
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// Returns whether a first byte arrives within this time; it is not read. The end of the
    /// connection counts as one.
    pub fn readable_within(&self, time: Duration) -> bool {
        if time.is_zero() || self.stream.set_read_timeout(Some(time)).is_err() {
            return false;
        }
        loop {
            match self.stream.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if timed_out(&error) => return false,
                _ => return true,
            }
        }
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Returns whether a read or write ended by its deadline.
pub fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// What carries a session: it becomes encrypted half-way.
pub enum SmtpStream {
    Plain(DeadlineStream),
    Tls(Box<StreamOwned<ClientConnection, DeadlineStream>>),
}

impl SmtpStream {
    /// Gives what follows this long from now.
    pub fn set_patience(&mut self, patience: Duration) {
        let timed = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        };
        timed.deadline = Instant::now() + patience;
    }
}

impl Read for SmtpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for SmtpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The longest line of a reply that is read, in bytes; RFC 5321 §4.5.3.1.5 has 512.
const LONGEST_LINE: usize = 4096;
/// The longest reply that is read, in bytes.
const LONGEST_REPLY: usize = 64 * 1024;

/// A reply of one line or many (RFC 5321 §4.2.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Lines {
    /// Such as 250.
    pub code: u16,
    /// Without the codes, in printable ASCII.
    pub text: Vec<String>,
}

impl Lines {
    /// Returns the reply on one line, code first.
    pub fn words(&self) -> String {
        format!("{} {}", self.code, self.text.join(" "))
    }

    /// Returns the reply as a refusal: an enhanced status code that each line repeats stands
    /// once.
    pub fn refusal(self) -> Reply {
        let Self { code, text } = self;
        let mut reply = Reply {
            code,
            text: text.join(" "),
        };
        if let Some(status) = reply.status().map(|status| format!("{status} ")) {
            let rest = text.iter().skip(1);
            let rest = rest.map(|line| line.strip_prefix(&status).map_or(&**line, str::trim_start));
            let lines: Vec<_> = text
                .first()
                .map(String::as_str)
                .into_iter()
                .chain(rest)
                .collect();
            reply.text = lines.join(" ");
        }
        reply
    }
}

/// Reads replies and keeps what arrived behind them.
#[derive(Default)]
pub struct ReplyReader {
    /// Received and not read yet.
    received: Vec<u8>,
}

impl ReplyReader {
    /// Returns whether more has arrived than was read.
    pub fn has_more(&self) -> bool {
        !self.received.is_empty()
    }

    /// Reads one reply. A fault names `stage`, during which it was awaited.
    pub fn read(&mut self, stream: &mut impl Read, stage: Stage) -> Result<Lines, Fault> {
        let mut reply: Option<Lines> = None;
        let mut length = 0;
        loop {
            let line = self.line(stream, stage)?;
            length += line.len();
            let (code, more, text) = parsed(&line).ok_or_else(|| no_reply(stage, &line))?;
            let reply = reply.get_or_insert_with(|| Lines {
                code,
                text: Vec::new(),
            });
            if reply.code != code {
                let what = format!("a reply with two codes, {} and {code}", reply.code);
                return Err(Fault::Protocol(stage, what));
            }
            if length > LONGEST_REPLY {
                return Err(Fault::Protocol(stage, "a reply without end".into()));
            }
            reply.text.push(text.to_owned());
            if !more {
                let text = std::mem::take(&mut reply.text);
                return Ok(Lines { code, text });
            }
        }
    }

    /// Reads a line without its end. Bytes that are not printable ASCII become `?`: a
    /// server may speak Latin-1, and a terminal obeys control characters.
    fn line(&mut self, stream: &mut impl Read, stage: Stage) -> Result<String, Fault> {
        let mut searched = 0;
        loop {
            let end = self.received[searched..].iter().position(|b| *b == b'\n');
            if let Some(end) = end {
                let line: Vec<u8> = self.received.drain(..=searched + end).collect();
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                return Ok(line.iter().map(|byte| printable(*byte)).collect());
            }
            searched = self.received.len();
            if searched > LONGEST_LINE {
                return Err(Fault::Protocol(stage, "a line without end".into()));
            }
            let mut buffer = [0; 1024];
            let read = match stream.read(&mut buffer) {
                Ok(0) => return Err(Fault::HungUp(stage)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if timed_out(&error) => return Err(Fault::TimedOut(stage)),
                Err(_) => return Err(Fault::HungUp(stage)),
            };
            self.received.extend_from_slice(&buffer[..read]);
        }
    }
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || b" \t".contains(&byte) {
        char::from(byte)
    } else {
        '?'
    }
}

/// The code, whether more lines follow, and the text. `None` if it is no line of SMTP.
fn parsed(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    if !(code.starts_with(['2', '3', '4', '5']) && code.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let code = code.parse().ok()?;
    match rest.split_at_checked(1) {
        None => Some((code, false, "")),
        Some((" ", text)) => Some((code, false, text)),
        Some(("-", text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

/// A line that is not a reply. It is shortened only after the password in it is masked.
fn no_reply(stage: Stage, line: &str) -> Fault {
    let what = match stage {
        Stage::Greeting => format!("it greets with {line}"),
        _ => format!("it answers {line}"),
    };
    Fault::Protocol(stage, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Lines, Fault> {
        ReplyReader::default().read(&mut &*text, Stage::Hello)
    }

    #[test]
    fn a_reply_has_one_line_or_many() {
        for (text, code, lines) in [
            (&b"250 fine\r\n"[..], 250, vec!["fine"]),
            (b"250\r\n", 250, vec![""]),
            (b"220-a\r\n220-\r\n220 b\n", 220, vec!["a", "", "b"]),
            (
                b"535 Mot de passe erron\xe9\x1b[0m\r\n",
                535,
                vec!["Mot de passe erron??[0m"],
            ),
        ] {
            let text = read(text).unwrap();
            assert_eq!(
                (text.code, text.text),
                (code, lines.iter().map(ToString::to_string).collect())
            );
        }
    }

    #[test]
    fn what_is_no_reply_is_a_fault() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "\r\n",
            "25\r\n",
            "250x\r\n",
            "199 a\r\n",
            "250-a\r\n251 b\r\n",
        ] {
            let fault = read(text.as_bytes());
            assert!(
                matches!(fault, Err(Fault::Protocol(..))),
                "{text}: {fault:?}"
            );
        }
        for text in ["", "250", "250-a\r\n"] {
            assert_eq!(read(text.as_bytes()), Err(Fault::HungUp(Stage::Hello)));
        }
        let endless = vec![b'2'; LONGEST_LINE + 1025];
        assert!(matches!(read(&endless), Err(Fault::Protocol(..))));
        let endless = "250-a\r\n".repeat(LONGEST_REPLY);
        assert!(matches!(read(endless.as_bytes()), Err(Fault::Protocol(..))));
    }

    #[test]
    fn what_arrives_behind_a_reply_is_kept() {
        let mut reader = ReplyReader::default();
        let mut stream = &b"220 go\r\n250 AUTH PLAIN\r\n"[..];
        assert_eq!(reader.read(&mut stream, Stage::StartTls).unwrap().code, 220);
        assert!(reader.has_more());
        assert_eq!(reader.read(&mut stream, Stage::Hello).unwrap().code, 250);
        assert!(!reader.has_more());
    }

    #[test]
    fn a_repeated_status_stands_once() {
        let reply = read(b"554-5.7.1 Relay\r\n554 5.7.1 denied\r\n").unwrap();
        assert_eq!(reply.words(), "554 5.7.1 Relay 5.7.1 denied");
        assert_eq!(reply.refusal().text, "5.7.1 Relay denied");
        let reply = read(b"554-No\r\n554 5.7.1 never\r\n").unwrap();
        assert_eq!(reply.refusal().text, "No 5.7.1 never");
    }
}
