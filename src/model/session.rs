//! A session with a mail server as an application has it: how far it came, and
//! what was in the way.

use std::fmt;

use super::time::Time;

/// The steps of a session, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Lookup,
    Connect,
    Greeting,
    /// With STARTTLS, asking for it; TLS itself is the next one.
    StartTls,
    Tls,
    Hello,
    SignIn,
    Sender,
    Recipient,
    Message,
}

/// A step that was taken.
#[derive(Clone, Debug)]
pub struct Step {
    pub stage: Stage,
    pub took: std::time::Duration,
    /// The server's own words, or what was found.
    pub said: String,
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub names: Vec<String>,
    pub issuer: String,
    pub not_before: Time,
    pub not_after: Time,
}

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// By nobody this machine trusts, or by itself.
    UnknownIssuer,
    Expired,
    /// Another one, between it and who is trusted.
    ChainExpired,
    NotYetValid,
    OtherName,
    /// It is one that others are signed with.
    Authority,
    Other(String),
}

/// The encryption of a session.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Such as `TLS 1.3`.
    pub version: &'static str,
    pub certificate: Option<Certificate>,
}

/// What the server said to a command, where that was a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// RFC 5321, 4.2
    pub code: u16,
    pub text: String,
}

/// What ended a session before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    NoSuchHost,
    /// The DNS did not say.
    Lookup(String),
    /// Nobody listens.
    Refused,
    Unreachable(String),
    TimedOut(Stage),
    HungUp(Stage),
    /// It waits for TLS from the first byte, and was spoken to without.
    SpeaksTls,
    /// It speaks first, in clear, and was spoken to in TLS.
    SpeaksPlain,
    NoStartTls,
    Distrusted(Distrust, Option<Certificate>),
    TlsFailed(String),
    NoSignIn,
    Reply(Stage, Reply),
    /// What came is no SMTP, or cannot be sent by it.
    Protocol(Stage, String),
}

/// All that a session showed.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub steps: Vec<Step>,
    pub tls: Option<Tls>,
    /// Passwords are asked for before the connection is encrypted.
    pub sign_in_in_clear: bool,
    pub fault: Option<Fault>,
    /// The message went out, whatever was said of it.
    pub handed_over: bool,
    /// How long the step took that the fault ended.
    pub failed_after: std::time::Duration,
}

impl Stage {
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

    /// For people.
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
    /// The step that it ended.
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
    /// The enhanced status code (RFC 3463) that the text begins with, if it does.
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
            [] => "nobody".to_owned(),
            names => names.join(" "),
        };
        write!(f, "for {names}, until {}", self.not_after)
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "it was issued by nobody that this machine trusts",
            Self::Expired => "it has expired",
            Self::ChainExpired => "one that it was issued with has expired",
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
