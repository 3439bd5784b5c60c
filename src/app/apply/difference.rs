//! What differs between a plan and the store.

use serde_json::Value;

use crate::model::delivery::Destination;
use crate::model::name::{DomainName, Username};
use crate::model::plan::PlanProblem;
use crate::model::time::Time;

/// How a plan is compared and carried out.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// Where passwords of new users go; overrides the plan and the store.
    pub delivery: Destination,
    /// Delete users that the plan does not name, in the domains it names.
    pub prune: bool,
    /// Run deliveries from the store even if another user can write it.
    pub trust_store: bool,
    /// How many deliveries run at the same time.
    pub jobs: usize,
}

/// What a difference is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanSubject {
    /// The settings of the installation.
    Settings,
    /// A domain.
    Domain(DomainName),
    /// A user.
    User(Username),
}

/// What is done about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// It does not exist and is created.
    Create,
    /// It exists and is changed.
    Change,
    /// It is deleted, because the plan does not name it.
    Delete,
}

/// A field that changes; null means that it is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field's name in the plan.
    pub name: String,
    /// The value in the store.
    pub from: Value,
    /// The value in the plan.
    pub to: Value,
}

/// A difference between the plan and the store.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What is done.
    pub action: ChangeAction,
    /// The object that differs.
    pub subject: PlanSubject,
    /// The fields that change; all of them if it is created, none if it is deleted.
    pub fields: Vec<FieldChange>,
    /// Where the password of a new user goes.
    pub delivery: Option<Destination>,
    /// Why it would not get there, so that the user is not created.
    pub obstacle: Option<String>,
    /// Creation time of an existing domain or user, to tell it from a later one of
    /// the same name.
    pub(super) created_at: Option<Time>,
}

/// Differences in the order in which they are carried out, or why they cannot be.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The differences.
    pub differences: Vec<Difference>,
    /// Why the plan cannot be carried out; if there are any, nothing is.
    pub problems: Vec<PlanProblem>,
}

impl Difference {
    pub(super) fn new(
        action: ChangeAction,
        subject: PlanSubject,
        fields: Vec<FieldChange>,
    ) -> Self {
        Self {
            action,
            subject,
            fields,
            delivery: None,
            obstacle: None,
            created_at: None,
        }
    }

    pub(super) fn username(&self) -> Option<&Username> {
        match &self.subject {
            PlanSubject::User(username) => Some(username),
            PlanSubject::Settings | PlanSubject::Domain(_) => None,
        }
    }

    /// Returns whether a user is created, whose password must be delivered.
    pub const fn is_new_user(&self) -> bool {
        matches!(
            (self.action, &self.subject),
            (ChangeAction::Create, PlanSubject::User(_))
        )
    }
}
