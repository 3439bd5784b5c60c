//! Does `smtpcred serve` answer? Asked as a mail server does; `status`, which waits for it, has less
//! patience.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sockets::{
    self, Endpoint, FOLDERS, PATIENCE, SocketError, greeting_within, ruling_within,
};

/// serve answers within milliseconds, unless it hangs.
const SHORT: Duration = Duration::from_millis(500);

/// A socket of serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSocket {
    /// `auth` or `policy`.
    pub name: &'static str,
    /// Its path.
    pub path: String,
    /// What was found.
    pub state: SocketState,
}

/// Whether a socket answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketState {
    /// As serve does.
    Answers,
    /// And why.
    Silent(String),
    /// This user may not connect.
    Unknown,
}

/// Asks the given sockets of serve, or else the default ones that exist. Empty if serve is not
/// set up on this machine.
pub fn serve_sockets(auth: Option<&Path>, policy: Option<&Path>) -> Vec<ServeSocket> {
    let mut found = Vec::new();
    for (name, given) in [("auth", auth), ("policy", policy)] {
        // A given socket is all there is.
        if given.is_none() && (auth.is_some() || policy.is_some()) {
            continue;
        }
        let known = known(name, given);
        found.extend(known.into_iter().map(|endpoint| ServeSocket {
            name,
            path: endpoint.to_string(),
            state: ask(name, &endpoint, SHORT),
        }));
    }
    found
}

/// Asks these sockets of serve, with a mail server's patience.
pub fn named_sockets<'a>(
    auth: impl Iterator<Item = &'a Path>,
    policy: impl Iterator<Item = &'a Path>,
    listen: &[SocketAddr],
) -> Vec<ServeSocket> {
    let auth = auth.map(|path| ("auth", Endpoint::unix(path)));
    let policy = policy.map(|path| ("policy", Endpoint::unix(path)));
    let listen = listen.iter();
    let listen = listen.map(|address| ("policy", Endpoint::Inet(address.to_string())));
    let asked = |(name, endpoint): (&'static str, Endpoint)| ServeSocket {
        name,
        path: endpoint.to_string(),
        state: ask(name, &endpoint, PATIENCE),
    };
    auth.chain(policy).chain(listen).map(asked).collect()
}

fn known(name: &str, given: Option<&Path>) -> Vec<Endpoint> {
    if let Some(path) = given {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return vec![Endpoint::Unix(path)];
    }
    let defaults = sockets::defaults(name);
    let there: Vec<_> = defaults.iter().filter(|one| one.is_there()).collect();
    if !there.is_empty() {
        return there.into_iter().cloned().collect();
    }
    // The folder is made for the socket: serve was set up, and does not run.
    let expected = FOLDERS.map(PathBuf::from).into_iter().zip(defaults);
    let expected = expected.filter(|(folder, _)| folder.is_dir());
    expected.map(|(_, endpoint)| endpoint).collect()
}

fn ask(name: &str, endpoint: &Endpoint, patience: Duration) -> SocketState {
    let answered = match name {
        "auth" => greeting_within(endpoint, patience).map(|_| ()),
        _ => ruling_within(endpoint, patience),
    };
    match answered {
        Ok(()) => SocketState::Answers,
        Err(SocketError::Forbidden) => SocketState::Unknown,
        Err(SocketError::Removed(_)) => SocketState::Silent("its socket file was removed".into()),
        Err(SocketError::Other(what)) => SocketState::Silent(what),
    }
}
