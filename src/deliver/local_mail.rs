//! Mail of smtpcred itself, through the mail server of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::sys::prctl;

use super::command;
use crate::model::delivery::CommandLine;
use crate::model::mailbox::LocalMailbox;
use crate::smtp;

/// How long it may take.
pub const MOST: Duration = Duration::from_secs(30);
/// Where the program is that every mail server has, as the FHS names it and as BSD does.
const SENDMAIL: [&str; 2] = ["/usr/sbin/sendmail", "/usr/lib/sendmail"];
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 25);

/// Returns the name of this machine.
pub fn host() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy();
    if host.is_empty() {
        return "localhost".to_owned();
    }
    host.into_owned()
}

/// Returns whom mail is from.
pub fn sender(host: &str) -> String {
    format!("smtpcred@{host}")
}

/// Hands a message with its headers to the mail server, with the null sender. Fails with the
/// reason.
pub fn send(to: &LocalMailbox, message: &str) -> Result<(), String> {
    // A process that gains no privileges cannot write to Postfix's queue, and Postfix's program
    // waits without end until it can.
    let confined = prctl::get_no_new_privs().unwrap_or(true);
    let mut programs = SENDMAIL.into_iter().filter_map(|program| {
        let words = [program, "-i", "-f", "<>", "--", to.as_str()];
        CommandLine::stored(words.map(str::to_owned).into())
    });
    let program = programs.find(|program| command::obstacle(program).is_none());
    match program.filter(|_| !confined) {
        Some(program) => command::tell(&program, message.as_bytes(), MOST),
        None => smtp::hand_over(LOCAL, to, message, MOST),
    }
}

/// Returns a time as RFC 5322 has it.
pub fn date(epoch: i64) -> String {
    let time = Timestamp::from_second(epoch).unwrap_or_default();
    jiff::fmt::rfc2822::to_string(&time.to_zoned(TimeZone::UTC)).unwrap_or_default()
}
