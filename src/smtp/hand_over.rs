//! Hands a message to the mail server of this machine, as a local program does: without TLS and
//! without a sign-in (RFC 5321).

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::model::mailbox::LocalMailbox;

/// The longest reply that is read, in bytes.
const MOST: u64 = 64 * 1024;

/// Hands over a message, with the null sender. Fails with what the server said.
pub fn hand_over(
    server: SocketAddr,
    to: &LocalMailbox,
    message: &str,
    patience: Duration,
) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let failed = |error: io::Error| format!("{server}: {error}");
    let stream = TcpStream::connect_timeout(&server, patience).map_err(failed)?;
    let mut dialog = Dialog {
        replies: BufReader::new(stream),
        deadline,
    };
    let data = with_dots(message);
    let steps = [
        ("220", None),
        ("250", Some("EHLO localhost\r\n".to_owned())),
        ("250", Some("MAIL FROM:<>\r\n".to_owned())),
        ("25", Some(format!("RCPT TO:<{to}>\r\n"))),
        ("354", Some("DATA\r\n".to_owned())),
        ("250", Some(data)),
    ];
    for (wanted, line) in steps {
        let reply = dialog.step(line.as_deref()).map_err(failed)?;
        if !reply.starts_with(wanted) {
            return Err(format!("{server} said: {}", reply.trim_end()));
        }
    }
    // The message is the server's by now.
    let _ = dialog.step(Some("QUIT\r\n"));
    Ok(())
}

struct Dialog {
    replies: BufReader<TcpStream>,
    deadline: Instant,
}

impl Dialog {
    /// Sends a line, if any, and returns the last line of the reply.
    fn step(&mut self, line: Option<&str>) -> io::Result<String> {
        if let Some(line) = line {
            let left = self.left()?;
            let stream = self.replies.get_mut();
            stream.set_write_timeout(Some(left))?;
            stream.write_all(line.as_bytes())?;
        }
        let mut read = 0;
        loop {
            let left = self.left()?;
            self.replies.get_mut().set_read_timeout(Some(left))?;
            let mut reply = String::new();
            let length = (&mut self.replies)
                .take(MOST - read)
                .read_line(&mut reply)? as u64;
            read += length;
            if length == 0 || read >= MOST {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

/// Returns the message as DATA has it, with its end.
fn with_dots(message: &str) -> String {
    let mut data = String::with_capacity(message.len() + 16);
    for line in message.lines() {
        if line.starts_with('.') {
            data.push('.');
        }
        data.push_str(line);
        data.push_str("\r\n");
    }
    data.push_str(".\r\n");
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_at_the_start_of_a_line_ends_nothing() {
        assert_eq!(with_dots("a\n.b\n\nc"), "a\r\n..b\r\n\r\nc\r\n.\r\n");
    }
}
