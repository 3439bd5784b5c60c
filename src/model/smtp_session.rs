//! A session with a mail server as an application has it: how far it came, and what
//! stopped it.

use std::fmt;

use super::time::Time;

/// The steps of a session, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the server's address.
    Lookup,
    /// Connecting to it.
    Connect,
    /// Waiting for the server's greeting.
    Greeting,
    /// Asking for TLS by STARTTLS.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// EHLO.
    Hello,
    /// AUTH.
    SignIn,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA and the message.
    Message,
}

/// A step that succeeded.
#[derive(Clone, Debug)]
pub struct Step {
    /// The step.
    pub stage: Stage,
    /// How long it took.
    pub took: std::time::Duration,
    /// The server's reply, or what was found.
    pub said: String,
}

/// The content of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The DNS names that it is for.
    pub names: Vec<String>,
    /// The name of its issuer.
    pub issuer: String,
    /// The beginning of its validity.
    pub not_before: Time,
    /// The end of its validity.
    pub not_after: Time,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// This machine does not trust its issuer, or it is self-signed.
    UnknownIssuer,
    /// It has expired.
    Expired,
    /// A certificate between it and a trusted one has expired.
    ChainExpired,
    /// Its validity has not begun.
    NotYetValid,
    /// It is for another name.
    OtherName,
    /// It is the certificate of an authority, which a server must not use.
    Authority,
    /// Any other reason, for people.
    Other(String),
}

/// The encryption of a session.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Such as `TLS 1.3`.
    pub version: &'static str,
    /// The server's certificate; `None` if it could not be read.
    pub certificate: Option<Certificate>,
}

/// The server's refusal of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits (RFC 5321 §4.2).
    pub code: u16,
    /// The text after them.
    pub text: String,
}

/// What ended a session before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host's name does not exist.
    NoSuchHost,
    /// The DNS gave no answer, for this reason.
    Lookup(String),
    /// No program listens on the port.
    Refused,
    /// The server cannot be reached, for this reason.
    Unreachable(String),
    /// The server did not answer in time.
    TimedOut(Stage),
    /// The server closed the connection.
    HungUp(Stage),
    /// The server expects TLS from the first byte, and the client began without.
    SpeaksTls,
    /// The server begins in clear, and the client began with TLS.
    SpeaksPlain,
    /// The server does not offer STARTTLS.
    NoStartTls,
    /// The server's certificate is not trusted.
    Distrusted(Distrust, Option<Certificate>),
    /// The TLS handshake failed, for this reason.
    TlsFailed(String),
    /// The server offers no AUTH that smtpcred can use.
    NoSignIn,
    /// The server refused the command.
    Reply(Stage, Reply),
    /// The server's reply is not SMTP, or a value cannot be sent in it.
    Protocol(Stage, String),
}

/// All that a session showed.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The steps that succeeded.
    pub steps: Vec<Step>,
    /// The encryption; `None` without TLS.
    pub tls: Option<Tls>,
    /// Whether the server offers AUTH before the connection is encrypted.
    pub sign_in_in_clear: bool,
    /// What ended it; `None` if it went through.
    pub fault: Option<Fault>,
    /// Whether the message was sent as a whole, whatever the reply.
    pub handed_over: bool,
    /// How long the step that failed took.
    pub failed_after: std::time::Duration,
}

impl Session {
    /// Returns the id that the server gave the message: the last word of Postfix's
    /// `Ok: queued as ID`, or behind `id=` as Exim says it.
    pub fn queue_id(&self) -> Option<&str> {
        let last = self.steps.last()?;
        if last.stage != Stage::Message {
            return None;
        }
        let id = match last.said.split_once(" queued as ") {
            Some((_, id)) => id,
            None => last.said.split_once("id=")?.1,
        };
        let id = id.split_whitespace().next()?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (id.len() <= 40 && id.bytes().all(known)).then_some(id)
    }
}

impl Stage {
    /// Returns the name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::Hello => "ehlo",
            Self::SignIn => "auth",
            Self::Sender => "mail_from",
            Self::Recipient => "rcpt_to",
            Self::Message => "data",
        }
    }

    /// Returns the name for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Lookup => "address",
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::StartTls => "STARTTLS",
            Self::Tls => "TLS",
            Self::Hello => "EHLO",
            Self::SignIn => "AUTH",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Message => "DATA",
        }
    }
}

impl Fault {
    /// Returns the step that it ended.
    pub const fn stage(&self) -> Stage {
        match self {
            Self::NoSuchHost | Self::Lookup(_) => Stage::Lookup,
            Self::Refused | Self::Unreachable(_) => Stage::Connect,
            Self::SpeaksTls => Stage::Greeting,
            Self::NoStartTls => Stage::StartTls,
            Self::SpeaksPlain | Self::Distrusted(..) | Self::TlsFailed(_) => Stage::Tls,
            Self::NoSignIn => Stage::SignIn,
            Self::TimedOut(stage)
            | Self::HungUp(stage)
            | Self::Reply(stage, _)
            | Self::Protocol(stage, _) => *stage,
        }
    }
}

impl Reply {
    /// Returns the enhanced status code (RFC 3463) that the text begins with; `None` if it
    /// begins with none.
    pub fn status(&self) -> Option<&str> {
        let first = self.text.split_whitespace().next()?;
        let numbers: Vec<_> = first.split('.').collect();
        let is_number = |part: &&str| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        (numbers.len() == 3 && numbers.iter().all(is_number)).then_some(first)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self.names.as_slice() {
            [] => "no name".to_owned(),
            names => names.join(" "),
        };
        write!(f, "for {names}, until {}", self.not_after)
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "this machine does not trust its issuer",
            Self::Expired => "it has expired",
            Self::ChainExpired => "a certificate in its chain has expired",
            Self::NotYetValid => "it is not valid yet",
            Self::OtherName => "it is for another name",
            Self::Authority => {
                "it is self-signed as an authority (CA:TRUE), or another one that no server may use"
            }
            Self::Other(reason) => reason,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchHost => f.write_str("there is no such host"),
            Self::Lookup(reason) => write!(f, "the DNS did not answer: {reason}"),
            Self::Refused => f.write_str("the connection is refused: nothing listens there"),
            Self::Unreachable(reason) => write!(f, "it cannot be reached: {reason}"),
            Self::TimedOut(stage) => write!(f, "{}: no answer in time", stage.words()),
            Self::HungUp(stage) => write!(f, "{}: the server hung up", stage.words()),
            Self::SpeaksTls => f.write_str("the server wants TLS from the first byte"),
            Self::SpeaksPlain => f.write_str("the server does not speak TLS from the first byte"),
            Self::NoStartTls => f.write_str("the server does not offer STARTTLS"),
            Self::Distrusted(why, _) => write!(f, "the certificate is not trusted: {why}"),
            Self::TlsFailed(reason) => write!(f, "TLS failed: {reason}"),
            Self::NoSignIn => f.write_str("the server offers neither AUTH PLAIN nor LOGIN"),
            Self::Reply(_, reply) => write!(f, "{} {}", reply.code, reply.text),
            Self::Protocol(stage, what) => write!(f, "{}: {what}", stage.words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_id_is_in_the_last_reply() {
        let id = |stage, said: &str| {
            let step = Step {
                stage,
                took: std::time::Duration::ZERO,
                said: said.to_owned(),
            };
            let session = Session {
                steps: vec![step],
                tls: None,
                sign_in_in_clear: false,
                fault: None,
                handed_over: true,
                failed_after: std::time::Duration::ZERO,
            };
            session.queue_id().map(str::to_owned)
        };
        let sent = |said| id(Stage::Message, said);
        let postfix = "250 2.0.0 Ok: queued as 4dXyz12AbCz";
        assert_eq!(sent(postfix).unwrap(), "4dXyz12AbCz");
        let exim = "250 OK id=1vPabc-000000001Ab-2Cde";
        assert_eq!(sent(exim).unwrap(), "1vPabc-000000001Ab-2Cde");
        for none in ["250 OK", "250 Ok: queued as ", "250 Ok: queued as a;b"] {
            assert_eq!(sent(none), None, "{none}");
        }
        assert_eq!(id(Stage::SignIn, postfix), None);
    }

    #[test]
    fn a_status_is_three_numbers_at_the_beginning() {
        let status = |text: &str| {
            let text = text.to_owned();
            Reply { code: 554, text }.status().map(str::to_owned)
        };
        assert_eq!(status("5.7.1 Relay access denied").unwrap(), "5.7.1");
        assert_eq!(status("5.7.1"), Some("5.7.1".into()));
        for without in [
            "",
            "Denied",
            "1.2 x",
            "5.7.1.2 x",
            "5..1 x",
            "192.0.2.1111 x",
        ] {
            assert_eq!(status(without), None, "{without}");
        }
    }
}
