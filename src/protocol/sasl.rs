//! SASL PLAIN (RFC 4616), and LOGIN as clients speak it
//! (<https://datatracker.ietf.org/doc/html/draft-murchison-sasl-login-00>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// One message with everything (RFC 4616).
    Plain,
    /// Two prompts, for old clients.
    Login,
}

/// A username and a password. The password is wiped when dropped.
pub struct SaslCredentials {
    /// As it came: neither folded nor known to be a username.
    pub username: String,
    /// The password, which need not be text.
    pub password: Zeroizing<Vec<u8>>,
}

/// The prompts of LOGIN in base64: "Username:" and "Password:". Some clients
/// compare them.
pub const USERNAME_PROMPT: &str = "VXNlcm5hbWU6";
/// "Password:".
pub const PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

/// In bytes. Longer than any address (RFC 5321 §4.5.3.1.3).
const MAX_USERNAME: usize = 320;
/// In bytes. Far more than a password of ours has.
const MAX_PASSWORD: usize = 1024;

impl SaslMechanism {
    /// All mechanisms on offer.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// Returns the registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Reads the name of a mechanism in any case, because Postfix passes it on unchanged.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl std::fmt::Debug for SaslCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaslCredentials(…)")
    }
}

/// Decodes base64; returns `None` if it is not valid.
pub fn decode(base64: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(base64).ok().map(Zeroizing::new)
}

/// Parses `[authzid] NUL authcid NUL passwd`. No user may act for another one.
pub fn plain(message: &[u8]) -> Option<SaslCredentials> {
    let mut parts = message.split(|byte| *byte == 0);
    let (acts_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !(acts_for.is_empty() || acts_for == user) {
        return None;
    }
    login(username(user)?, password)
}

/// Parses the answer to LOGIN's first prompt.
pub fn username(message: &[u8]) -> Option<String> {
    if message.is_empty() || message.len() > MAX_USERNAME {
        return None;
    }
    String::from_utf8(message.to_vec()).ok()
}

/// Returns the credentials of LOGIN; `None` if the password is empty, too long or has a NUL.
pub fn login(username: String, password: &[u8]) -> Option<SaslCredentials> {
    // A NUL is in no password (RFC 4616 §2), and an empty one is a mistake.
    let good = !password.is_empty() && password.len() <= MAX_PASSWORD && !password.contains(&0);
    good.then(|| SaslCredentials {
        username,
        password: Zeroizing::new(password.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_has_two_nuls_and_nobody_acts_for_another() {
        let read = |message: &[u8]| {
            plain(message).map(|c| (c.username.clone(), String::from_utf8(c.password.to_vec())))
        };
        let good = Some(("u@x".to_owned(), Ok("pw".to_owned())));
        assert_eq!(read(b"\0u@x\0pw"), good);
        assert_eq!(read(b"u@x\0u@x\0pw"), good);
        let long = [b"\0u@x\0".as_slice(), &[b'p'; 1025]].concat();
        for bad in [
            b"".as_slice(),
            b"\0",
            b"\0\0",
            b"\0u@x\0",
            b"\0\0pw",
            b"u@x\0pw",
            b"\0u@x\0pw\0",
            b"other\0u@x\0pw",
            b"\0\xff\0pw",
            &long,
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode(b"cHc=").unwrap().as_slice(), b"pw");
        for bad in [b"cHc".as_slice(), b"cHc=\r", b"!", b"="] {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
    }
}
