//! What to do at a mail server.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::host_port::HostPort;
use crate::model::mailbox::Mailbox;
use crate::model::name::Username;

/// The time limit for one step.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A visit to a mail server.
pub struct Visit<'a> {
    /// Its name and port.
    pub server: &'a HostPort,
    /// The address to connect to; `None` looks the server's name up.
    pub address: Option<IpAddr>,
    /// The time limit for each step.
    pub patience: Duration,
    /// Do not compare the server's certificate with anything: for a user that does not matter,
    /// on this machine.
    pub any_certificate: bool,
    /// What to do there.
    pub errand: Errand<'a>,
}

/// How far to go.
pub enum Errand<'a> {
    /// To the point where a password would be sent.
    Look,
    /// Signs in without TLS, with a password that is made up.
    WithoutTls,
    /// Signs in.
    SignIn(SignInAs<'a>),
    /// Signs in and sends a message.
    Mail(SignInAs<'a>, Mail<'a>),
}

/// What to sign in with.
#[derive(Clone, Copy)]
pub struct SignInAs<'a> {
    /// The user.
    pub username: &'a Username,
    /// Its password.
    pub password: &'a str,
}

/// A message and its envelope.
#[derive(Clone, Copy)]
pub struct Mail<'a> {
    /// The sender.
    pub from: &'a Mailbox,
    /// The recipient.
    pub to: &'a Mailbox,
    /// `None` ends the visit before DATA, and nothing is sent.
    pub content: Option<Content<'a>>,
}

/// The text of a message.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// The subject.
    pub subject: &'a str,
    /// The text below the header.
    pub body: &'a str,
}
