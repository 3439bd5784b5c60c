//! The words for the differences from a plan, for people and for programs.

use crate::app::apply::{Difference, PlanSubject};
use crate::model::delivery::Destination;

/// Returns "settings", "domain" or "user".
pub const fn kind(subject: &PlanSubject) -> &'static str {
    match subject {
        PlanSubject::Settings => "settings",
        PlanSubject::Domain(_) => "domain",
        PlanSubject::User(_) => "user",
    }
}

/// Returns the name of a domain or user, and `None` for the settings.
pub fn name(subject: &PlanSubject) -> Option<String> {
    match subject {
        PlanSubject::Settings => None,
        PlanSubject::Domain(name) => Some(name.to_string()),
        PlanSubject::User(name) => Some(name.to_string()),
    }
}

/// Returns the kind and the name.
pub fn title(subject: &PlanSubject) -> String {
    match name(subject) {
        Some(name) => format!("{} {name}", kind(subject)),
        None => kind(subject).to_owned(),
    }
}

/// Returns where a new user's password is delivered, with full file names.
pub fn delivery(difference: &Difference) -> Option<String> {
    let (Some(delivery), PlanSubject::User(username)) = (&difference.delivery, &difference.subject)
    else {
        return None;
    };
    let whole = Destination {
        command: delivery.command.clone(),
        ..delivery.files_of(username)
    };
    Some(whole.to_string())
}
