//! Dialogs between a mail server and a relay, as text. A file has many; each is
//! run on its own connections, and all that comes back is compared, to the end:
//!
//! ```text
//! === its name
//! $ user suspend shop@example.com      a command of ours, before or between
//! auth | policy | tcp                  opens a connection
//! C> text       a line, sent on its own       C& text    sent with the next one
//! C. text       sent byte by byte             C_ text    without a line feed
//! C ends        nothing more will be sent     C hangs up
//! ask RCPT sender=a@example.com        a policy request as Postfix sends it; ask& with the next
//! S> text       a line that has to come       S 1s> text    not before this time
//! S? text       the same; several of these come in any order
//! S closes      and nothing else came
//! ```
//!
//! `→` is a tab, `\xNN` a byte, `{b64 text}` is in base64, `{greeting}` what
//! the relay says first, `{64*text}` is repeated, `[..]` stands for anything.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::Sandbox;
use crate::support::relay::{Client, auth_socket, policy_socket};

pub struct Dialog {
    pub name: String,
    lines: Vec<String>,
}

/// What the dialogs are run against.
pub struct Stage<'a> {
    pub sandbox: &'a Sandbox,
    pub port: u16,
}

/// Longer than a wrong password is answered late.
const QUIET: Duration = Duration::from_millis(1500);

const GREETING: &[&str] = &[
    "VERSION\t1\t2",
    "MECH\tPLAIN\tplaintext",
    "MECH\tLOGIN\tplaintext",
    "SPID\t[..]",
    "CUID\t[..]",
    "COOKIE\t[..]",
    "DONE",
];

pub fn parse(file: &str, text: &str) -> Vec<Dialog> {
    let mut dialogs: Vec<Dialog> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            dialogs.push(Dialog {
                name: format!("{file}: {name}"),
                lines: Vec::new(),
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            let dialog = dialogs.last_mut().expect("a dialog begins with its name");
            dialog.lines.push(line.to_owned());
        }
    }
    dialogs
}

impl Dialog {
    /// The first thing that is not as it is written.
    pub fn run(&self, stage: &Stage) -> Result<(), String> {
        let mut run = Running {
            stage,
            open: Vec::new(),
            closed: false,
            unsent: Vec::new(),
            sent: Instant::now(),
            any_order: Vec::new(),
            said: Vec::new(),
        };
        let outcome = self.lines.iter().try_for_each(|line| run.step(line));
        outcome
            .and_then(|()| run.end())
            .map_err(|why| format!("--- {}\n{}\n*** {why}\n", self.name, run.said.join("\n")))
    }
}

struct Running<'a> {
    stage: &'a Stage<'a>,
    open: Vec<Client>,
    /// The last one.
    closed: bool,
    unsent: Vec<u8>,
    sent: Instant,
    any_order: Vec<String>,
    /// All that happened, to be shown.
    said: Vec<String>,
}

impl Running<'_> {
    fn step(&mut self, line: &str) -> Result<(), String> {
        if !line.starts_with("S? ") {
            self.in_any_order()?;
        }
        self.said.push(line.to_owned());
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest) {
            ("$", command) => {
                let args: Vec<_> = command.split(' ').collect();
                let run = self.stage.sandbox.run(&args);
                return if run.code == 0 {
                    Ok(())
                } else {
                    Err(run.stderr)
                };
            }
            ("auth" | "policy" | "tcp", _) => self.connect(word),
            ("C", "ends") => {
                let stream = self.client()?.stream.get_ref();
                stream
                    .shutdown(std::net::Shutdown::Write)
                    .map_err(|e| e.to_string())?;
            }
            ("C", "hangs up") => drop(self.open.pop()),
            ("C&", text) => self.unsent.extend([&expand(text)[..], b"\n"].concat()),
            ("C>", text) => self.send(&[&expand(text)[..], b"\n"].concat())?,
            ("C_", text) => self.send(&expand(text))?,
            ("C.", text) => {
                for byte in [&expand(text)[..], b"\n"].concat() {
                    self.send(&[byte])?;
                }
            }
            ("ask&", text) => self.unsent.extend(ask(text)),
            ("ask", text) => self.send(&ask(text))?,
            ("S>", "{greeting}") => {
                for line in GREETING {
                    self.expect(line, Duration::ZERO)?;
                }
            }
            ("S>", text) => self.expect(&text.replace('→', "\t"), Duration::ZERO)?,
            ("S?", text) => self.any_order.push(text.replace('→', "\t")),
            ("S", "closes") => {
                if let Some(line) = self.client()?.line() {
                    return Err(format!("said before it closed: {line:?}"));
                }
                self.open.pop();
                self.closed = true;
            }
            ("S", rest) => {
                let (time, text) = rest.split_once("s> ").ok_or("not understood")?;
                let time = Duration::from_secs(time.parse().map_err(|_| "not a time")?);
                // Counted from when it read it, a moment after we wrote it.
                self.expect(&text.replace('→', "\t"), time.mul_f32(0.98))?;
            }
            _ => return Err("not understood".into()),
        }
        Ok(())
    }

    fn connect(&mut self, kind: &str) {
        let stream = match kind {
            "auth" => UnixStream::connect(auth_socket(self.stage.sandbox)).unwrap(),
            "policy" => UnixStream::connect(policy_socket(self.stage.sandbox)).unwrap(),
            _ => {
                let tcp = TcpStream::connect(("127.0.0.1", self.stage.port)).unwrap();
                // Read and written alike.
                UnixStream::from(OwnedFd::from(tcp))
            }
        };
        self.open.push(Client::new(stream));
        self.closed = false;
    }

    fn client(&mut self) -> Result<&mut Client, String> {
        if self.closed {
            return Err("the connection was closed before".into());
        }
        self.open.last_mut().ok_or_else(|| "no connection".into())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut whole = std::mem::take(&mut self.unsent);
        whole.extend(bytes);
        self.sent = Instant::now();
        // Who hangs up before it has read all is looked at with what follows.
        let _ = self.client()?.send(&whole);
        Ok(())
    }

    fn expect(&mut self, expected: &str, not_before: Duration) -> Result<(), String> {
        let found = self.client()?.line();
        let after = self.sent.elapsed();
        let found = found.ok_or_else(|| format!("closed instead of {expected:?}"))?;
        if !matches(expected, &found) {
            return Err(format!("came {found:?} instead of {expected:?}"));
        }
        if after < not_before {
            return Err(format!("{found:?} came after {after:?} already"));
        }
        Ok(())
    }

    fn in_any_order(&mut self) -> Result<(), String> {
        let mut expected = std::mem::take(&mut self.any_order);
        while !expected.is_empty() {
            let found = self.client()?.line();
            let found = found.ok_or_else(|| format!("closed instead of {expected:?}"))?;
            let at = expected
                .iter()
                .position(|expected| matches(expected, &found));
            expected.remove(at.ok_or_else(|| format!("came {found:?}, not in {expected:?}"))?);
        }
        Ok(())
    }

    /// Nothing else comes, and nothing is closed.
    fn end(&mut self) -> Result<(), String> {
        self.in_any_order()?;
        let mut time = QUIET;
        for client in &mut self.open {
            match client.unasked(time) {
                None => time = Duration::from_millis(10),
                Some(bytes) if bytes.is_empty() => return Err("closed at the end".into()),
                Some(bytes) => {
                    return Err(format!("also came {:?}", bytes.escape_ascii().to_string()));
                }
            }
        }
        Ok(())
    }
}

fn matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.split("[..]");
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = found.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        // At least something is there.
        let Some(at) = rest.get(1..).and_then(|rest| rest.find(part)) else {
            return false;
        };
        rest = &rest[1 + at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

fn expand(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(&hex[..2], 16).expect("two hexadecimal digits"));
            rest = &hex[2..];
        } else if let Some((inner, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}'))
        {
            match (inner.strip_prefix("b64 "), inner.split_once('*')) {
                (Some(text), _) => bytes.extend(STANDARD.encode(expand(text)).bytes()),
                (None, Some((times, text))) => {
                    bytes.extend(expand(text).repeat(times.parse().expect("a number")));
                }
                _ => panic!("not understood: {{{inner}}}"),
            }
            rest = after;
        } else {
            match c {
                '→' => bytes.push(b'\t'),
                c => bytes.extend(c.to_string().bytes()),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    bytes
}

/// All attributes of Postfix 3.7, in its order.
fn ask(text: &str) -> Vec<u8> {
    let mut words = text.split(' ');
    let state = words.next().unwrap_or("");
    let mut attributes = [
        ("request", "smtpd_access_policy"),
        ("protocol_state", state),
        ("protocol_name", "ESMTP"),
        ("client_address", "192.0.2.30"),
        ("client_name", "unknown"),
        ("client_port", "48066"),
        ("reverse_client_name", "unknown"),
        ("server_address", "127.0.0.1"),
        ("server_port", "10587"),
        ("helo_name", "client.test"),
        ("sender", ""),
        ("recipient", "one@elsewhere.test"),
        ("recipient_count", "0"),
        ("queue_id", ""),
        ("instance", "124f.6b007f0a.3417b.0"),
        ("size", "1234"),
        ("etrn_domain", ""),
        ("stress", ""),
        ("sasl_method", "PLAIN"),
        ("sasl_username", ""),
        ("sasl_sender", ""),
        ("ccert_subject", ""),
        ("ccert_issuer", ""),
        ("ccert_fingerprint", ""),
        ("ccert_pubkey_fingerprint", ""),
        ("encryption_protocol", "TLSv1.3"),
        ("encryption_cipher", "TLS_AES_256_GCM_SHA384"),
        ("encryption_keysize", "256"),
        ("policy_context", ""),
    ];
    for word in words {
        let (name, value) = word.split_once('=').expect("name=value");
        let name = if name == "user" {
            "sasl_username"
        } else {
            name
        };
        let known = attributes.iter_mut().find(|(known, _)| *known == name);
        known.expect("an attribute of Postfix").1 = value;
    }
    let lines =
        attributes.map(|(name, value)| [name.as_bytes(), b"=", &expand(value), b"\n"].concat());
    [&lines.concat()[..], b"\n"].concat()
}
