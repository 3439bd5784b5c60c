//! Examines what is between an application and its mail on this machine, one
//! thing after the other, and changes nothing. Mail servers are asked with their
//! own tools what their configuration says.

pub mod dovecot;
pub mod exim;
pub mod postfix;
mod tool;

/// The sockets of `smtpcred serve`, as a mail server names them.
#[derive(Clone, Debug)]
pub struct Sockets {
    pub auth: String,
    pub policy: String,
}

/// One thing that a mail server's configuration should say.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Of which service or file.
    pub place: String,
    pub wanted: String,
    pub found: String,
    pub good: bool,
}

impl Compared {
    fn new(place: &str, wanted: &str, found: &str, good: bool) -> Self {
        Self {
            place: place.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
            good,
        }
    }

    fn there(place: &str, wanted: &str, good: bool) -> Self {
        Self::new(place, wanted, if good { "yes" } else { "not there" }, good)
    }
}
