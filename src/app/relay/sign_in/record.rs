//! Records the sign-ins that were answered, to be written to the store.

use std::net::IpAddr;

use super::attempt::Attempt;
use super::decide::Accepted;
use crate::app::relay::pending_writes::{RefusedAddress, SignIn};
use crate::app::relay::sessions::Service;
use crate::app::relay::{PendingWrites, Relay, address_name};
use crate::model::refused_sign_ins::RefusalReason;

impl Relay {
    /// Records a good sign-in, which this service of a mail server asked for.
    pub fn record_accepted(
        &mut self,
        accepted: Accepted,
        service: Service,
        address: Option<IpAddr>,
    ) {
        let Accepted {
            username,
            name,
            password_id,
            verdict,
            ..
        } = accepted;
        let at = (self.world.now)();
        // If the store cannot tell, an older end may end the session too early.
        let newest_end = self.read_session_ends().unwrap_or_default();
        let login = (&name, &password_id);
        self.sessions.begin(service, login, address, at, newest_end);
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
            let mut refused = RefusedAddress::new(attempt.address, at);
            let cached = self.sign_ins.users.get_mut(user.as_str());
            let issued = cached.and_then(|cached| cached.temporary(&attempt.password, at));
            refused.has_networks = issued.is_some_and(|issued| issued.networks.is_some());
            self.pending.refused_elsewhere(user, refused);
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
