//! Records the sign-ins that were answered, to be written to the store.

use std::net::IpAddr;

use super::attempt::Attempt;
use super::decide::Accepted;
use crate::app::relay::pending_writes::SignIn;
use crate::app::relay::{PendingWrites, Relay, address_name};
use crate::model::refused_sign_ins::RefusalReason;

impl Relay {
    /// Records a good sign-in, on this connection to the socket for sign-ins; `process` is
    /// the process of the mail server, if it is known.
    pub fn record_accepted(
        &mut self,
        accepted: Accepted,
        process: Option<u32>,
        connection: u64,
        address: Option<IpAddr>,
    ) {
        let Accepted {
            username,
            name,
            password_id,
            verdict,
            ..
        } = accepted;
        if let Some(process) = process {
            let login = (&name, &password_id);
            self.sessions.begin(process, connection, login, address);
        }
        let at = (self.world.now)();
        let one = SignIn {
            at,
            address,
            verdict,
        };
        self.pending.signed_in(username, password_id, &one);
    }

    /// Records a refused sign-in. Returns its line for the log.
    pub fn record_refused(&mut self, attempt: &Attempt, reason: RefusalReason) -> String {
        let at = (self.world.now)();
        let username = self.written_attempt(attempt, reason);
        self.pending.refused(&username, attempt.address, reason, at);
        if reason == RefusalReason::AddressNotAllowed
            && let Ok(name) = attempt.username.parse()
        {
            let user = self.known_user(name);
            self.pending.refused_address(user, attempt.address, at);
        }
        // The address before the name: a name cannot pass for an address.
        format!(
            "sign-in refused: address={} reason={} user={username}",
            address_name(attempt.address),
            reason.name()
        )
    }

    /// Returns everything to write down. The addresses of good sign-ins are trusted from
    /// then on: not at each sign-in, because there may be very many.
    pub fn take_pending(&mut self) -> PendingWrites {
        let pending = std::mem::take(&mut self.pending);
        for (username, seen) in &pending.seen {
            for password in seen {
                self.trust(username, password.address);
            }
        }
        pending
    }
}
