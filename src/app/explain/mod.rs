//! Explains why an application failed and what to do, from the server's replies and from
//! what the store knows but no server tells a stranger.

mod connect_faults;
mod explanation;
mod fault_context;
mod smtp_replies;

pub use explanation::Explanation;
pub use fault_context::{FaultContext, HostSource};
pub use smtp_replies::auth_in_clear;

use super::App;
use super::verify::{PasswordVerdict, WrongPassword};
use crate::error::Exit;
use crate::model::name::Username;
use crate::model::sender::{Sender, may_send_as};
use crate::model::smtp_session::{Fault, Reply, Stage};

impl App {
    /// Explains a fault by the server's reply and by what the store knows of the user.
    pub fn explain(&mut self, fault: &Fault, at: &FaultContext) -> Explanation {
        match fault {
            Fault::Reply(stage, reply) => match stage {
                Stage::SignIn if at.in_clear => smtp_replies::in_clear(reply, at),
                Stage::SignIn if reply.code == 535 => self.refused_sign_in(at),
                Stage::SignIn => smtp_replies::sign_in(reply, at),
                Stage::Sender | Stage::Recipient | Stage::Message => {
                    let local = self.refused_sending(reply, at);
                    local.unwrap_or_else(|| smtp_replies::mail(*stage, reply, at))
                }
                _ => smtp_replies::greeting(*stage, reply, at),
            },
            other => connect_faults::explained(other, at),
        }
    }

    /// Explains a 535, which tells a client nothing more.
    fn refused_sign_in(&mut self, at: &FaultContext) -> Explanation {
        let name = at.username;
        let verdict = match self.verify(name, at.password) {
            Ok(verdict) => verdict,
            Err(error) => {
                let cause = format!(
                    "the server says that the password is wrong; the store cannot be read to confirm it: {error}"
                );
                return Explanation::new("sign_in_refused", Exit::TryAgain, cause)
                    .next("smtpcred doctor");
            }
        };
        let reset = format!("smtpcred user reset {}", name.in_shell());
        let right = matches!(verdict, PasswordVerdict::Right { .. });
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
        verdict: PasswordVerdict,
        at: &FaultContext,
        reset: String,
    ) -> Explanation {
        let name = at.username;
        if matches!(verdict, PasswordVerdict::Right { status, .. } if status.can_sign_in())
            && let Some(explained) = self.refused_address(name)
        {
            return explained;
        }
        match verdict {
            PasswordVerdict::Right { status, .. } if !status.can_sign_in() => self.cannot_sign_in(at),
            PasswordVerdict::Right { password_id, .. } => Explanation::new(
                "server_asks_elsewhere",
                Exit::Failed,
                format!(
                    "the password is right (password ID {password_id}) and {name} may sign in, but the server refuses it: it does not ask this store, or caches old answers"
                ),
            )
            .next("smtpcred doctor")
            .next("smtpcred show-server-config postfix --check"),
            PasswordVerdict::Wrong(WrongPassword::Mistyped) => Explanation::new(
                "mistyped_password",
                Exit::WrongPassword,
                "this generated password was mistyped or cut off: its check characters do not match (it has 36 characters, including smtpc_)",
            )
            .next(format!("smtpcred verify {}", name.in_shell()))
            .next(reset),
            PasswordVerdict::Wrong(WrongPassword::Stopped(password_id)) => Explanation::new(
                "old_password",
                Exit::WrongPassword,
                format!(
                    "this is an old password of {name} (password ID {password_id}), which is no longer live{}; the application did not get the new one",
                    self.live_password(name)
                ),
            )
            .next(format!("smtpcred user show {}", name.in_shell()))
            .next(format!("{reset} --overlap 24h")),
            PasswordVerdict::Wrong(WrongPassword::Unknown) => Explanation::new(
                "wrong_password",
                Exit::WrongPassword,
                format!("this is not a password of {name}"),
            )
            .next(format!("smtpcred why {}", name.in_shell()))
            .next(reset),
        }
    }

    /// Explains the refusal of a right password by the address that the server sees, if the user
    /// may not sign in from everywhere.
    fn refused_address(&mut self, name: &Username) -> Option<Explanation> {
        let why = self.why(name).ok()?;
        if !why.addresses.refuses(why.now) {
            return None;
        }
        let seen = match why.last_refused_address() {
            Some(last) => format!("the server sees this machine as {}", last.address),
            None => "the address of this machine may not be among them".to_owned(),
        };
        let cause = format!(
            "the password is right, but {name} may sign in only from its allowed addresses, and {seen}"
        );
        let explained = Explanation {
            next: why.next(),
            ..Explanation::new("address_not_allowed", Exit::Refused, cause)
        };
        Some(explained.next(format!("smtpcred user addresses {}", name.in_shell())))
    }

    /// Describes the live password, if there is one.
    fn live_password(&mut self, name: &Username) -> String {
        let user = self.store.user(name).ok().flatten();
        let password = user.as_ref().and_then(|user| user.password());
        password.map_or(String::new(), |password| {
            format!(
                "; the live one is {}, created {}",
                password.id, password.created_at
            )
        })
    }

    fn cannot_sign_in(&mut self, at: &FaultContext) -> Explanation {
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

    /// Explains a refusal by what the store says against this user's mail, if it does.
    fn refused_sending(&mut self, reply: &Reply, at: &FaultContext) -> Option<Explanation> {
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
                    "the server refuses it; the store, which may know why, cannot be read: {error}"
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
            // These flags replace all senders.
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
                    format!("{name} may not send as {}, only as {may}", at.from),
                )
                .next(format!(
                    "smtpcred user set {}{own} --sender {}",
                    name.in_shell(),
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
                format!("a sending limit is reached: {}", first.words()),
            )
        })
    }
}
