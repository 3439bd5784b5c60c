//! Postfix's access policy protocol
//! (<https://www.postfix.org/SMTPD_POLICY_README.html>), which Exim speaks
//! through `${readsocket}`.

use std::net::IpAddr;

use super::process_id;
use crate::model::text::number;

/// Gathers a request from its lines.
#[derive(Debug, Default)]
pub struct PolicyReader {
    request: Option<Box<PolicyRequest>>,
    size: usize,
}

/// The fields of a request that are used. Absent ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRequest {
    /// The kind of request: `smtpd_access_policy`.
    pub request: String,
    /// Where in the SMTP session the mail server asks.
    pub state: ProtocolState,
    /// Names one message while it is on its way in; empty before MAIL FROM.
    pub instance: String,
    /// The address in MAIL FROM.
    pub sender: String,
    /// The address in RCPT TO; empty for a message with several.
    pub recipient: String,
    /// At END-OF-MESSAGE: how many were accepted.
    pub recipient_count: u32,
    /// In bytes, at END-OF-MESSAGE.
    pub size: u64,
    /// The user who signed in; empty without a sign-in.
    pub username: String,
    /// The address of the SMTP client.
    pub address: Option<IpAddr>,
    /// The process of the mail server, if given explicitly.
    named_process: Option<u32>,
}

/// Where in the SMTP session we are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolState {
    /// At MAIL FROM.
    Mail,
    /// At RCPT TO.
    Rcpt,
    /// At DATA.
    Data,
    /// After the message.
    EndOfMessage,
    /// CONNECT, EHLO, VRFY and what may come.
    #[default]
    Other,
}

/// The answer to a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyAction {
    /// Nothing against it. Never OK, which would skip what comes after us.
    Dunno,
    /// An SMTP reply code, an enhanced one (RFC 3463), and words.
    Refuse {
        /// Both codes, such as `554 5.7.1`.
        code: &'static str,
        /// One line for the sender.
        text: String,
    },
}

/// In bytes, of one line without its line feed, and of a whole request.
pub const MAX_LINE: usize = 32 * 1024;
const MAX_REQUEST: usize = 64 * 1024;

/// In bytes: no message is larger, whatever the request says.
const MAX_SIZE: u64 = 1 << 40;

impl PolicyReader {
    /// Takes a line without its line feed; returns a request with its last. An
    /// error says why the connection cannot go on.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Box<PolicyRequest>>, &'static str> {
        self.size += line.len() + 1;
        if self.size > MAX_REQUEST {
            return Err("a request is too large");
        }
        if line.is_empty() {
            self.size = 0;
            // An empty line on its own asks for nothing.
            return Ok(self.request.take());
        }
        // At the first one: a sender may have more of them.
        let Some(at) = line.iter().position(|byte| *byte == b'=') else {
            return Err("a line is not name=value");
        };
        let value = String::from_utf8_lossy(&line[at + 1..]);
        let request = self.request.get_or_insert_default();
        match &line[..at] {
            b"request" => request.request = value.into_owned(),
            b"protocol_state" => request.state = ProtocolState::named(&value),
            b"instance" => request.instance = value.into_owned(),
            b"sender" => request.sender = value.into_owned(),
            b"recipient" => request.recipient = value.into_owned(),
            b"recipient_count" => request.recipient_count = number(&value).unwrap_or(0),
            b"size" => {
                let size = number(&value).filter(|size| *size <= MAX_SIZE);
                request.size = size.unwrap_or(0);
            }
            b"sasl_username" => request.username = value.into_owned(),
            b"client_address" => request.address = value.parse().ok(),
            // Our own attribute, for Exim, which has no other way to give it.
            b"process" => request.named_process = process_id(&value, 10),
            _ => {}
        }
        Ok(None)
    }
}

impl PolicyRequest {
    /// Returns the process of the mail server that serves the session. Postfix begins
    /// `instance` with it, in hexadecimal, before the first dot.
    pub fn process(&self) -> Option<u32> {
        self.named_process.or_else(|| {
            let (process, _) = self.instance.split_once('.')?;
            process_id(process, 16)
        })
    }
}

/// A request that changes nothing: it has no user.
pub const PROBE: &str = "request=smtpd_access_policy\nprotocol_state=CONNECT\n\n";

/// What a reply tells to do.
pub fn action(reply: &str) -> Option<&str> {
    let action = reply.strip_prefix("action=")?.strip_suffix("\n\n")?;
    (!action.is_empty()).then_some(action)
}

impl ProtocolState {
    fn named(name: &str) -> Self {
        match name {
            "MAIL" => Self::Mail,
            "RCPT" => Self::Rcpt,
            "DATA" => Self::Data,
            "END-OF-MESSAGE" => Self::EndOfMessage,
            _ => Self::Other,
        }
    }
}

impl PolicyAction {
    /// Never empty, and never of a number alone: Postfix takes the one for
    /// "permit", and adds what was in its memory to the other.
    pub fn to_reply(&self) -> String {
        match self {
            Self::Dunno => "action=DUNNO\n\n".to_owned(),
            Self::Refuse { code, text } => {
                let text: String = text
                    .chars()
                    .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
                    .collect();
                format!("action={code} {text}\n\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<PolicyRequest>, &'static str> {
        let mut reader = PolicyReader::default();
        let mut requests = Vec::new();
        for line in text.split_terminator('\n') {
            if let Some(request) = reader.line(line.as_bytes())? {
                requests.push(*request);
            }
        }
        Ok(requests)
    }

    #[test]
    fn a_value_may_have_an_equals_sign() {
        let found =
            read("request=smtpd_access_policy\nprotocol_state=RCPT\nsender=a=b=c@x\nsize=\n\n");
        let found = found.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].sender.as_str(), found[0].state),
            ("a=b=c@x", ProtocolState::Rcpt)
        );
    }

    #[test]
    fn an_impossible_size_is_ignored() {
        for (said, size) in [
            ("516", 516),
            ("1099511627776", 1 << 40),
            ("1099511627777", 0),
            ("9223372036854775807", 0),
            ("18446744073709551616", 0),
            ("-1", 0),
            ("", 0),
        ] {
            let found = read(&format!("size={said}\n\n")).unwrap();
            assert_eq!(found[0].size, size, "{said:?}");
        }
    }

    #[test]
    fn an_instance_begins_with_the_process() {
        let process = |line: &str| read(&format!("{line}\n\n")).unwrap()[0].process();
        assert_eq!(process("instance=124f.6b007f0a.3417b.0"), Some(0x124f));
        assert_eq!(process("instance=\nprocess=4687"), Some(4687));
        assert_eq!(process("instance=1.2\nprocess=x"), Some(1));
        for none in [
            "instance=",
            "instance=124f",
            "instance=.1",
            "instance=0.1",
            "instance=+1.1",
            "instance=1tXyzA-000123-AB",
            "instance=100000000.1",
            "process=+5",
        ] {
            assert_eq!(process(none), None, "{none}");
        }
    }

    #[test]
    fn nothing_of_a_request_stays_for_the_next() {
        let found = read("sender=a@x\n\n\n\nrecipient=b@x\n\n").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].sender, "");
    }

    #[test]
    fn a_reply_is_read_as_it_is_written() {
        assert_eq!(action(&PolicyAction::Dunno.to_reply()), Some("DUNNO"));
        for bad in ["", "action=\n\n", "action=DUNNO\n", "DUNNO\n\n"] {
            assert_eq!(action(bad), None, "{bad:?}");
        }
        let probe = read(PROBE).unwrap();
        assert_eq!((probe.len(), probe[0].username.as_str()), (1, ""));
    }

    #[test]
    fn what_is_no_attribute_or_too_much_ends_it() {
        assert!(read("GET / HTTP/1.1\n").is_err());
        assert!(read(&format!("a={}\n", "x".repeat(MAX_REQUEST))).is_err());
        assert!(read(&"a=b\n".repeat(MAX_REQUEST)).is_err());
    }

    #[test]
    fn a_reply_is_one_line_and_an_empty_one() {
        let refuse = PolicyAction::Refuse {
            code: "450 4.7.1",
            text: "no\r\naction=OK é".into(),
        };
        assert_eq!(refuse.to_reply(), "action=450 4.7.1 no  action=OK  \n\n");
    }
}
