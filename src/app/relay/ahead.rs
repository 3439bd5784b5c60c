//! What was counted ahead for busy users: spent here, handed back and counted
//! anew twice a second, so that it never stands under an old time for long.

use super::Relay;
use super::found::Returned;
use super::keeper::{Renewed, Reservation, Reserved};
use super::messages::Ahead;
use super::sending::Envelope;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::tally::Amount;
use crate::model::time::Time;
use crate::store::Owner;

impl Relay {
    /// Hands back what was counted ahead and not sent. Names who took some of it
    /// and is likely to send on, with a message as that user sends it.
    pub fn hand_back(&mut self) -> Vec<(Username, Amount)> {
        let mut busy = Vec::new();
        for (username, ahead) in self.sending.ahead.drain() {
            busy.extend(ahead.spent.map(|amount| (username.clone(), amount)));
            self.found.returned.push(ahead.returned(username));
        }
        busy
    }

    /// The same; for whom it names the keeper has to count anew, if anybody.
    pub fn hand_back_for_more(&mut self) -> Vec<(Username, Amount)> {
        let mut busy = self.hand_back();
        if self.sending.renewing {
            busy.clear();
        }
        self.sending.renewing |= !busy.is_empty();
        busy
    }

    pub fn is_renewing(&self) -> bool {
        self.sending.renewing
    }

    /// What the keeper counted anew.
    pub fn renewed(&mut self, renewed: Vec<Renewed>) {
        self.sending.renewing = false;
        for (username, amount, at) in renewed {
            self.counted_ahead(&username, amount, at);
        }
    }

    /// What the keeper said where nobody waits for it any more: what was counted is
    /// taken back.
    pub fn unwanted(&mut self, envelope: &Envelope, wanted: &Reservation, said: &Result<Reserved>) {
        if wanted.counts {
            self.sending.forget(&envelope.instance);
        }
        if let Ok(Reserved::Granted { ahead, at }) = said {
            self.counted_ahead(&wanted.username, *ahead, *at);
            if wanted.counts {
                self.found.returned.push(Returned {
                    username: wanted.username.clone(),
                    left: wanted.amount,
                    held: Amount::default(),
                    at: *at,
                });
            }
        }
    }

    /// Whether relays have counted something ahead that may be handed back.
    pub(super) fn is_held(&mut self, username: &Username, now: Time) -> Result<bool> {
        let store = self.store()?;
        for owner in Owner::all(username) {
            if store.held(owner, now)? != Amount::default() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the keeper counted for messages to come.
    pub(super) fn counted_ahead(&mut self, username: &Username, amount: Amount, at: Time) {
        if amount.messages == 0 {
            return;
        }
        let ahead = Ahead {
            amount,
            held: amount,
            spent: None,
            at,
        };
        if let Some(old) = self.sending.ahead.insert(username.clone(), ahead) {
            self.found.returned.push(old.returned(username.clone()));
        }
    }
}
