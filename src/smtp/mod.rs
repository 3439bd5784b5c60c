//! Visits a mail server as an application does (RFC 5321, RFC 3207, RFC 4954), as far as
//! is wanted, and reports each step. TLS uses the certificates that this machine trusts, or
//! those in `SSL_CERT_FILE`.

#[cfg(feature = "smtp")]
mod connect;
#[cfg(feature = "smtp")]
mod conversation;
mod hand_over;
#[cfg(feature = "smtp")]
mod log;
#[cfg(feature = "smtp")]
mod stream;
#[cfg(feature = "smtp")]
mod tls;
mod visit;

pub use hand_over::hand_over;
pub use visit::{Content, Errand, Mail, PATIENCE, SignInAs, Visit};

#[cfg(not(feature = "smtp"))]
use crate::error::Error;
use crate::error::Result;
use crate::model::host_port::HostPort;
use crate::model::name::Username;
use crate::model::password::Password;
use crate::model::smtp_session::{Session, Step};

/// Visits the server, and calls `each` after each step. The session says what the server
/// did not allow; an error is one of this machine, or of `each`.
#[cfg(feature = "smtp")]
pub fn visit(visit: &Visit, each: &mut dyn FnMut(&Step) -> Result<()>) -> Result<Session> {
    let secret = match visit.errand {
        Errand::SignIn(credentials) | Errand::Mail(credentials, _) => Some(credentials),
        Errand::Look | Errand::WithoutTls => None,
    };
    let mut log = log::VisitLog::new(secret, each);
    let done = connect::visit(visit, &mut log);
    log.finish(done)
}

/// Fails: this build has no client.
#[cfg(not(feature = "smtp"))]
pub fn visit(_: &Visit, _: &mut dyn FnMut(&Step) -> Result<()>) -> Result<Session> {
    Err(Error::System("this smtpcred was built without SMTP".into()))
}

/// Signs in and leaves. The error says why that failed.
pub fn sign_in(
    server: &HostPort,
    username: &Username,
    password: &Password,
) -> std::result::Result<(), String> {
    let password = password.expose();
    let visited = visit(
        &Visit {
            server,
            address: None,
            patience: PATIENCE,
            any_certificate: false,
            errand: Errand::SignIn(SignInAs { username, password }),
        },
        &mut |_| Ok(()),
    );
    match visited.map_err(|error| error.to_string())?.fault {
        None => Ok(()),
        Some(fault) => Err(fault.to_string()),
    }
}
