//! What is behind a fault that an application met, and what to do: with what the
//! server said, and with what it would never tell a stranger and the store knows.

mod reach;
mod replies;

use super::App;
use super::sign_in::{Verdict, Why};
use crate::error::Exit;
use crate::model::duration::Duration;
use crate::model::mailbox::Mailbox;
use crate::model::name::Username;
use crate::model::sender::{Sender, may_send_as};
use crate::model::server::Server;
use crate::model::session::{Certificate, Fault, Reply, Stage};

/// Who met a fault, and where.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub username: &'a Username,
    pub password: &'a [u8],
    pub server: &'a Server,
    pub from: &'a Mailbox,
    /// No TLS was used, on purpose.
    pub in_clear: bool,
    pub host: HostIs,
    /// A command that tries the other ports, where they were not.
    pub others: Option<&'a str>,
}

/// Where it was said which server this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostIs {
    /// For this once.
    Given,
    OfTheDomain,
    OfTheInstallation,
}

impl Circumstances<'_> {
    /// The command that names another server, where one did.
    fn set_host(&self, host: &str) -> Option<String> {
        match self.host {
            HostIs::Given => None,
            HostIs::OfTheDomain => {
                let domain = self.username.domain();
                Some(format!("smtpcred domain set {domain} --host {host}"))
            }
            HostIs::OfTheInstallation => Some(format!("smtpcred set-settings --host {host}")),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Explanation {
    /// The name scripts match on. Stable.
    pub code: &'static str,
    pub cause: String,
    /// Commands to type, most of them.
    pub next: Vec<String>,
    pub exit: Exit,
}

impl Explanation {
    fn new(code: &'static str, exit: Exit, cause: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            next: Vec::new(),
            exit,
        }
    }

    /// A fault of the server, also where all goes well.
    pub fn auth_in_clear() -> Self {
        replies::auth_in_clear()
    }

    /// It is trusted, and not for long.
    pub fn expiring(certificate: &Certificate, left: Duration) -> Self {
        let at = certificate.not_after;
        let cause = format!("the certificate expires in {left}, at {at}: then nobody can connect");
        Self::new("certificate_expiring", Exit::Attention, cause).next("certbot renew")
    }

    #[must_use]
    fn next(mut self, command: impl Into<String>) -> Self {
        self.next.push(command.into());
        self
    }

    #[must_use]
    fn next_if(mut self, command: Option<impl Into<String>>) -> Self {
        self.next.extend(command.map(Into::into));
        self
    }
}

impl App {
    pub fn explain(&mut self, fault: &Fault, at: &Circumstances) -> Explanation {
        match fault {
            Fault::Reply(stage, reply) => match stage {
                Stage::SignIn if at.in_clear => replies::in_clear(reply, at),
                Stage::SignIn if reply.code == 535 => self.refused_sign_in(at),
                Stage::SignIn => replies::sign_in(reply, at),
                Stage::Sender | Stage::Recipient | Stage::Message => {
                    let local = self.refused_sending(reply, at);
                    local.unwrap_or_else(|| replies::mail(*stage, reply, at))
                }
                _ => replies::greeting(*stage, reply, at),
            },
            other => reach::explained(other, at),
        }
    }

    /// The client is told "535" and nothing else; here is why.
    fn refused_sign_in(&mut self, at: &Circumstances) -> Explanation {
        let name = at.username;
        let verdict = match self.verify(name, at.password) {
            Ok(verdict) => verdict,
            Err(error) => {
                let cause = format!(
                    "the server says that the password is wrong; the store, which knows, cannot be asked: {error}"
                );
                return Explanation::new("sign_in_refused", Exit::TryAgain, cause)
                    .next("smtpcred doctor");
            }
        };
        let reset = format!("smtpcred user reset {name}");
        let right = matches!(verdict, Verdict::Right { .. });
        let mut explained = self.refused_password(verdict, at, reset);
        if !right
            && let Ok(why) = self.why(name)
            && let Some(reason) = why.no_sign_in()
        {
            explained.cause = format!("{}; and {reason}", explained.cause);
            explained.next.extend(why.next());
        }
        explained
    }

    fn refused_password(
        &mut self,
        verdict: Verdict,
        at: &Circumstances,
        reset: String,
    ) -> Explanation {
        let name = at.username;
        match verdict {
            Verdict::Right { status, .. } if !status.can_sign_in() => self.cannot_sign_in(at),
            Verdict::Right { key, .. } => Explanation::new(
                "server_asks_elsewhere",
                Exit::Failed,
                format!(
                    "the password is right (key {key}) and {name} may sign in, and yet the server refuses: it does not ask this store, or it keeps old answers"
                ),
            )
            .next("smtpcred doctor")
            .next("smtpcred show-server-config postfix --check"),
            Verdict::Wrong(Why::Mistyped) => Explanation::new(
                "mistyped_password",
                Exit::WrongPassword,
                "a generated password that was mistyped or cut off: its check characters do not fit (36 characters in all, smtpc_ included)",
            )
            .next(format!("smtpcred verify {name}"))
            .next(reset),
            Verdict::Wrong(Why::Stopped(key)) => Explanation::new(
                "old_password",
                Exit::WrongPassword,
                format!(
                    "an old password of {name} (key {key}), which has stopped{}; the application was not given the new one",
                    self.newest(name)
                ),
            )
            .next(format!("smtpcred user show {name}"))
            .next(format!("{reset} --overlap 24h")),
            Verdict::Wrong(Why::Unknown) => Explanation::new(
                "wrong_password",
                Exit::WrongPassword,
                format!("the password is none of {name}"),
            )
            .next(format!("smtpcred why {name}"))
            .next(reset),
        }
    }

    fn newest(&mut self, name: &Username) -> String {
        let user = self.store.user(name).ok().flatten();
        let key = user.as_ref().and_then(|user| user.newest_key());
        key.map_or(String::new(), |key| {
            format!(
                "; the one that works has the key {}, since {}",
                key.id, key.created_at
            )
        })
    }

    fn cannot_sign_in(&mut self, at: &Circumstances) -> Explanation {
        let name = at.username;
        let code = "cannot_sign_in";
        match self.why(name) {
            Ok(why) => Explanation {
                next: why.next(),
                ..Explanation::new(
                    why.status.name(),
                    Exit::Refused,
                    format!(
                        "the password is right, but {name} cannot sign in: {}",
                        why.no_sign_in().unwrap_or_default()
                    ),
                )
            },
            Err(error) => Explanation::new(code, Exit::TryAgain, error.to_string()),
        }
    }

    /// What the store says against this user's mail, if it does.
    fn refused_sending(&mut self, reply: &Reply, at: &Circumstances) -> Option<Explanation> {
        let name = at.username;
        // X.7.Z: security or policy (RFC 3463 §3.8), as all that serve says.
        if reply
            .status()
            .is_some_and(|status| !status[1..].starts_with(".7."))
        {
            return None;
        }
        let why = match self.why(name) {
            Ok(why) => why,
            Err(error) => {
                let cause = format!(
                    "the server refuses it; the store, which may know why, cannot be asked: {error}"
                );
                return Some(
                    Explanation::new("refused", Exit::TryAgain, cause).next("smtpcred doctor"),
                );
            }
        };
        if !why.status.can_sign_in() {
            return Some(self.cannot_sign_in(at));
        }
        if let Some(reason) = why.no_sending() {
            let message = format!("{name} may not send: {reason}");
            return Some(Explanation {
                next: why.next(),
                ..Explanation::new("domain_not_verified", Exit::Refused, message)
            });
        }
        if !may_send_as(name, &why.senders, at.from.as_str()) {
            let may = match why.senders.as_slice() {
                [] => format!("any address of {}", name.domain()),
                senders => senders
                    .iter()
                    .map(Sender::as_str)
                    .collect::<Vec<_>>()
                    .join(" "),
            };
            // They take the place of what was, all of them.
            let own: Vec<_> = match why.senders.as_slice() {
                [] => vec![format!(" --sender {}", name.domain())],
                senders => senders
                    .iter()
                    .map(|own| format!(" --sender {own}"))
                    .collect(),
            };
            let own = own.concat();
            return Some(
                Explanation::new(
                    "sender_not_owned",
                    Exit::Refused,
                    format!("{name} may not send as {}; it may as {may}", at.from),
                )
                .next(format!(
                    "smtpcred user set {name}{own} --sender {}",
                    at.from
                )),
            );
        }
        let used_up = why.used_up();
        let new = why.limits.iter().find(|limit| limit.over.is_some());
        let first = used_up.first().copied().or(new)?;
        let mut next = why.next();
        if used_up.is_empty() {
            next.push(first.raise());
        }
        Some(Explanation {
            next,
            ..Explanation::new(
                "limit_reached",
                Exit::Refused,
                format!("a sending limit is used up: {}", first.words()),
            )
        })
    }
}
