//! What a change is recognised by.

use crate::model::event::Action;
use crate::model::time::Time;

/// An event, as it is known again. Those that hand over a password contain its ID,
/// which is unique.
pub(super) struct EventMark {
    pub(super) at: Time,
    pub(super) action: Action,
    pub(super) username: Option<String>,
    pub(super) fields: String,
}
