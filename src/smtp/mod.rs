//! A mail server as applications see it (RFC 5321, RFC 3207, RFC 4954): visited
//! as far as is wanted, with each step told. TLS with the certificates this machine
//! trusts, or those in `SSL_CERT_FILE`.

#[cfg(feature = "smtp")]
mod conversation;
#[cfg(feature = "smtp")]
mod reach;
#[cfg(feature = "smtp")]
mod tls;
#[cfg(feature = "smtp")]
mod wire;

use std::net::IpAddr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::mailbox::Mailbox;
use crate::model::name::Username;
use crate::model::password::Password;
use crate::model::server::Server;
use crate::model::session::{Session, Step};

/// For one step.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What to do at a server.
pub struct Visit<'a> {
    pub server: &'a Server,
    /// Where to connect to, if not to what the DNS says of the server's name.
    pub address: Option<IpAddr>,
    /// For each step.
    pub patience: Duration,
    pub errand: Errand<'a>,
}

/// How far to go.
pub enum Errand<'a> {
    /// To where a password would be sent.
    Look,
    /// As one that uses no TLS. A password is sent that is made up.
    WithoutTls,
    SignIn(Credentials<'a>),
    Mail(Credentials<'a>, Mail<'a>),
}

#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    pub username: &'a Username,
    pub password: &'a str,
}

#[derive(Clone, Copy)]
pub struct Mail<'a> {
    pub from: &'a Mailbox,
    pub to: &'a Mailbox,
    /// Without it the visit ends before DATA: nothing is sent.
    pub content: Option<Content<'a>>,
}

#[derive(Clone, Copy)]
pub struct Content<'a> {
    pub subject: &'a str,
    pub body: &'a str,
}

/// Goes there, and tells each step when it is done. What was in the way is in the
/// session; an error is one of this machine.
#[cfg(feature = "smtp")]
pub fn visit(visit: &Visit, each: &mut dyn FnMut(&Step) -> Result<()>) -> Result<Session> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::System(format!("the network cannot be used: {error}")))?;
    let session = runtime.block_on(reach::visit(visit, each));
    // A look-up may still be waiting for an answer.
    runtime.shutdown_background();
    session
}

#[cfg(not(feature = "smtp"))]
pub fn visit(_: &Visit, _: &mut dyn FnMut(&Step) -> Result<()>) -> Result<Session> {
    Err(Error::System("this smtpcred was built without SMTP".into()))
}

/// Signs in and leaves; says why it could not.
pub fn sign_in(
    server: &Server,
    username: &Username,
    password: &Password,
) -> std::result::Result<(), String> {
    let password = password.expose();
    let visited = visit(
        &Visit {
            server,
            address: None,
            patience: PATIENCE,
            errand: Errand::SignIn(Credentials { username, password }),
        },
        &mut |_| Ok(()),
    );
    match visited.map_err(|error| error.to_string())?.fault {
        None => Ok(()),
        Some(fault) => Err(fault.to_string()),
    }
}
