//! Which authentication methods a server may ask for, as in libpq's `require_auth`
//! (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-REQUIRE-AUTH>).
//!
//! The library answers any request. So messages of the server are checked before the
//! library sees them: any user of this machine can listen on the port while the database is
//! down, and would receive the password.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthMethod {
    Password,
    Md5,
    Gss,
    Sspi,
    Scram,
    None,
}

impl AuthMethod {
    const ALL: [(Self, &str); 6] = [
        (Self::Password, "password"),
        (Self::Md5, "md5"),
        (Self::Gss, "gss"),
        (Self::Sspi, "sspi"),
        (Self::Scram, "scram-sha-256"),
        (Self::None, "none"),
    ];

    /// The method that the server's first authentication message asks for
    /// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
    /// `None` for unknown ones: the library refuses them.
    const fn of_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            3 => Some(Self::Password),
            5 => Some(Self::Md5),
            7 => Some(Self::Gss),
            9 => Some(Self::Sspi),
            10 => Some(Self::Scram),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(method, _)| *method == self);
        found.map_or("", |(_, name)| name)
    }
}

/// The ways of signing in to a server that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthMethods {
    allowed: Vec<AuthMethod>,
    /// `require_auth` set them.
    asked_for: bool,
}

impl AuthMethods {
    /// For a server whose identity is known.
    pub fn all() -> Self {
        Self {
            allowed: AuthMethod::ALL.map(|(method, _)| method).to_vec(),
            asked_for: false,
        }
    }

    /// The methods that do not reveal the password to an unknown server: an MD5 digest is
    /// as good as the password, and guessing finds it.
    pub fn unverified() -> Self {
        let mut methods = Self::all();
        let given_away =
            |method: &AuthMethod| matches!(method, AuthMethod::Password | AuthMethod::Md5);
        methods.allowed.retain(|method| !given_away(method));
        methods
    }

    /// For example `scram-sha-256,none` or `!password,!md5`.
    pub fn named(text: &str) -> Result<Self, String> {
        const RULE: &str = "require_auth is a list of password, md5, gss, sspi, scram-sha-256 and \
                            none, or of what it is not, each with a ! before it";
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let negated = words.iter().filter(|word| word.starts_with('!')).count();
        if negated != 0 && negated != words.len() {
            return Err(RULE.into());
        }
        let mut named = Vec::new();
        for word in words {
            let name = word.trim_start_matches('!');
            let found = AuthMethod::ALL.iter().find(|(_, known)| *known == name);
            named.push(found.ok_or(RULE)?.0);
        }
        let wanted = |method: &AuthMethod| named.contains(method) != (negated > 0);
        let all = AuthMethod::ALL.map(|(method, _)| method);
        Ok(Self {
            allowed: all.into_iter().filter(wanted).collect(),
            asked_for: true,
        })
    }

    fn check(&self, method: AuthMethod) -> io::Result<()> {
        if self.allowed.contains(&method) {
            return Ok(());
        }
        let asks = match method {
            AuthMethod::Password => "asks for the password in clear text",
            AuthMethod::Md5 => "asks for the password as MD5",
            AuthMethod::None => "asks for no password",
            AuthMethod::Gss | AuthMethod::Sspi | AuthMethod::Scram => "asks for another method",
        };
        let name = method.name();
        Err(io::Error::other(if self.asked_for {
            format!("the server {asks} ({name}), which require_auth does not allow")
        } else {
            format!(
                "the server {asks}, and TLS has not verified its identity: use \
                 sslmode=verify-full, or scram-sha-256 in its pg_hba.conf; \
                 require_auth={name} allows it anyway"
            )
        }))
    }
}

/// The stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Its next byte says whether it speaks TLS; then the check continues inside TLS.
    Negotiation,
    Startup,
    /// Authentication has begun; the key follows at its end.
    Authentication,
    Passed,
}

/// The process that a server names when a connection starts, for cancelling a statement;
/// 0 until then. The library does not expose it.
#[derive(Clone, Debug, Default)]
pub struct BackendKey(Arc<OnceLock<u32>>);

impl BackendKey {
    /// Returns the process ID; 0 if the server has not sent it yet.
    pub fn process(&self) -> u32 {
        self.0.get().copied().unwrap_or_default()
    }
}

/// Filters a server's messages until it is ready for the first statement.
pub struct AuthChecked<S> {
    stream: S,
    methods: AuthMethods,
    key: BackendKey,
    stage: Handshake,
    /// Bytes of an incomplete message.
    seen: Vec<u8>,
}

impl<S> AuthChecked<S> {
    /// Wraps a stream that has just been opened.
    pub const fn new(stream: S, methods: AuthMethods, key: BackendKey, stage: Handshake) -> Self {
        Self {
            stream,
            methods,
            key,
            stage,
            seen: Vec::new(),
        }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        const AUTHENTICATION: u8 = b'R';
        const BACKEND_KEY_DATA: u8 = b'K';
        const READY_FOR_QUERY: u8 = b'Z';
        const HEADER: usize = 5;
        self.seen.extend_from_slice(bytes);
        if self.stage == Handshake::Negotiation && !self.seen.is_empty() {
            self.stage = match self.seen.remove(0) {
                b'S' => Handshake::Passed,
                _ => Handshake::Startup,
            };
        }
        while matches!(self.stage, Handshake::Startup | Handshake::Authentication) {
            let number = |at: usize| -> Option<u32> {
                let bytes = self.seen.get(at..at + 4)?;
                Some(u32::from_be_bytes(bytes.try_into().ok()?))
            };
            let (Some(kind), Some(length)) = (self.seen.first().copied(), number(1)) else {
                return Ok(());
            };
            if (self.stage, kind) == (Handshake::Startup, AUTHENTICATION) {
                let Some(code) = number(HEADER) else {
                    return Ok(());
                };
                AuthMethod::of_code(code).map_or(Ok(()), |method| self.methods.check(method))?;
                self.stage = Handshake::Authentication;
            }
            // The library handles the rest.
            let whole = usize::try_from(length)
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            if self.seen.len() < whole {
                return Ok(());
            }
            match (kind, number(HEADER)) {
                (BACKEND_KEY_DATA, Some(process)) => {
                    let _ = self.key.0.set(process);
                    self.stage = Handshake::Passed;
                }
                (READY_FOR_QUERY, _) => self.stage = Handshake::Passed,
                _ => {}
            }
            self.seen.drain(..whole);
        }
        self.seen = Vec::new();
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AuthChecked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if this.stage != Handshake::Passed {
            this.look(&buffer.filled()[before..])?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AuthChecked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for AuthChecked<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// TLS whose contents are checked.
pub struct AuthCheckedTls<T> {
    pub tls: T,
    pub methods: AuthMethods,
    pub key: BackendKey,
}

impl<S, T> TlsConnect<S> for AuthCheckedTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
{
    type Stream = AuthChecked<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.tls.connect(stream);
        Box::pin(async move {
            let stream = connecting.await?;
            Ok(AuthChecked::new(
                stream,
                self.methods,
                self.key,
                Handshake::Startup,
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
    const SCRAM: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
    const IN: &[u8] = b"R\0\0\0\x08\0\0\0\0";

    /// Data may arrive in pieces of any size.
    fn passes(methods: &AuthMethods, stage: Handshake, bytes: &[u8]) -> bool {
        let [whole, single] = [bytes.len(), 1].map(|size| {
            let mut watched = AuthChecked::new((), methods.clone(), BackendKey::default(), stage);
            bytes.chunks(size).all(|piece| watched.look(piece).is_ok())
        });
        assert_eq!(whole, single);
        whole
    }

    #[test]
    fn p1_whoever_it_is_gets_no_password() {
        let unverified = AuthMethods::unverified();
        for (asked, good) in [(CLEAR, false), (MD5, false), (SCRAM, true), (IN, true)] {
            let refused = [b"N", asked].concat();
            let noticed = [b"N\0\0\0\x06SX", asked].concat();
            assert_eq!(passes(&unverified, Handshake::Startup, asked), good);
            assert_eq!(passes(&unverified, Handshake::Negotiation, &refused), good);
            assert_eq!(passes(&unverified, Handshake::Startup, &noticed), good);
            assert!(passes(&AuthMethods::all(), Handshake::Startup, asked));
        }
        // TLS follows, and could contain anything.
        let encrypted = [b"S", CLEAR].concat();
        assert!(passes(&unverified, Handshake::Negotiation, &encrypted));
    }

    #[test]
    fn the_process_that_a_server_names_is_read() {
        const AFTER: &[u8] = b"S\0\0\0\x08a\0b\0K\0\0\0\x0c\0\0\x04\xd2cafeZ\0\0\0\x05I";
        let named = |bytes: &[u8], size: usize| {
            let key = BackendKey::default();
            let mut watched =
                AuthChecked::new((), AuthMethods::all(), key.clone(), Handshake::Startup);
            for piece in bytes.chunks(size) {
                watched.look(piece).unwrap();
            }
            assert_eq!(watched.stage, Handshake::Passed);
            key.process()
        };
        for before in [IN, &[SCRAM, IN].concat()] {
            for size in [1, 7, 1000] {
                assert_eq!(named(&[before, AFTER].concat(), size), 1234);
            }
        }
        assert_eq!(
            named(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", 3),
            0,
            "it names none"
        );
    }

    #[test]
    fn require_auth_works_as_in_libpq() {
        for (text, clear, scram, none) in [
            ("password", true, false, false),
            ("scram-sha-256,none", false, true, true),
            ("!password, !md5", false, true, true),
            ("!none", true, true, false),
        ] {
            let methods = AuthMethods::named(text).unwrap();
            for (asked, good) in [(CLEAR, clear), (SCRAM, scram), (IN, none)] {
                assert_eq!(passes(&methods, Handshake::Startup, asked), good, "{text}");
            }
        }
        for text in ["", "clear", "password,!md5", "scram-sha-256,"] {
            assert!(AuthMethods::named(text).is_err(), "{text}");
        }
    }
}
