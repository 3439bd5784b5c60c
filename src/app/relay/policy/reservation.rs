//! Asks the writing side for room within the limits, and its answers.

use super::envelope::Requester;
use super::refusal::Refusal;
use crate::model::limits::OnLimit;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::store::SendingRules;

/// A request for room within the limits of a user, its domain and the installation.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The user who sends.
    pub username: Username,
    /// What would be counted.
    pub amount: Count,
    /// Digests of recipients to which this user has never sent.
    pub new_recipients: Vec<u128>,
    /// The digest of the recipient that is checked; `None` for a complete message.
    pub recipient: Option<u128>,
    /// What is counted if there is room.
    pub kind: ReservationKind,
    /// It is for a recipient of a message that already has recipients.
    pub has_recipients: bool,
    /// How often leases were released for it.
    pub tries: u8,
    /// How often it waited for leases of other relays.
    pub waits: u8,
    /// The mail server that waits for the answer.
    pub requester: Requester,
}

/// What is counted if there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationKind {
    /// Nothing: a recipient is checked before its message is complete.
    Check,
    /// The new recipients of a message without a name: its end cannot be recognised.
    NewRecipients,
    /// A complete message.
    Message,
}

/// The answer to a [`Reservation`].
#[derive(Debug)]
pub enum ReservationOutcome {
    /// There was room, and it was counted.
    Granted {
        /// Counted in addition, for messages to come.
        lease: Count,
        /// Digests of the recipients that were counted as new.
        new_recipients: Vec<u128>,
        /// The time under which it was counted.
        at: Time,
    },
    /// The mail server no longer waits: nothing was counted.
    Abandoned,
    /// The user has a new name since this was asked for: nothing was counted.
    Renamed,
    /// There is no room, or the user may not send at all.
    Refused(Refusal),
    /// There may be room in leases of this relay: release them and ask again.
    ReleaseAndRetry,
    /// There may be room in leases of other relays: ask again a little later.
    RetryLater,
}

impl Reservation {
    /// Returns what happens to the user if there is no room: nothing for the remaining
    /// recipients of a message that is not sent yet.
    pub fn action(&self, rules: &SendingRules) -> OnLimit {
        match rules.on_limit() {
            OnLimit::Reject => OnLimit::Reject,
            _ if self.has_recipients => OnLimit::Defer,
            action => action,
        }
    }
}

impl ReservationOutcome {
    /// Returns whether the user would be suspended or deleted although the mail server no
    /// longer waits for the answer.
    pub(in crate::app::relay) fn punishes_unanswered(&self, requester: &Requester) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.has_consequences()) && requester.is_gone()
    }
}

/// A lease that was renewed: the user, how much, and the time under which it was counted.
pub type RenewedLease = (Username, Count, Time);
