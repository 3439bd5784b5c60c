//! Why a message is refused, in words for its sender.

use crate::model::limits::{LimitExceeded, OnLimit};

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The password that the session signed in with no longer works.
    Ended,
    /// An admin ended the session.
    SessionEnded,
    /// Suspended, expired or deleted since the sign-in.
    Stopped,
    /// Its domain must be verified and is not.
    Unverified,
    /// The sender address is not one of the user's.
    NotOwned,
    /// A sending limit leaves no room.
    Limit {
        /// The owner of the limit, for people.
        owner: String,
        /// The limit, and when it has room again.
        exceeded: LimitExceeded,
        /// What happens to the user.
        action: OnLimit,
        /// The message already has recipients; the others may be sent in another
        /// message.
        has_recipients: bool,
    },
}

impl Refusal {
    /// The refusal has further consequences.
    pub(super) const fn has_consequences(&self) -> bool {
        matches!(
            self,
            Self::Limit {
                action: OnLimit::Suspend | OnLimit::Delete,
                ..
            }
        )
    }

    /// What happened, and when to try again.
    pub fn text(&self) -> String {
        match self {
            Self::Ended => "The password of this session no longer works".into(),
            Self::SessionEnded => "This session has ended: sign in again".into(),
            Self::Stopped => "This login may not send any more".into(),
            Self::Unverified => {
                "The domain of this login is not verified: it may not send yet".into()
            }
            Self::NotOwned => "Sender address not owned by this login".into(),
            Self::Limit {
                owner,
                exceeded,
                action,
                has_recipients,
            } => {
                let next = match exceeded.frees_at {
                    _ if *has_recipients && *action == OnLimit::Defer => {
                        "send to the other recipients in another message".into()
                    }
                    Some(at) => format!("there is room again at {at}"),
                    None => "this message alone is more than that".into(),
                };
                format!(
                    "Sending limit of {owner} reached: {}; {next}",
                    exceeded.kind.words(exceeded.most)
                )
            }
        }
    }
}
