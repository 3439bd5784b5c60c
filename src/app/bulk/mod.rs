//! Creates many users from a file. All rows are checked before anything is changed; then
//! all processors hash, and one thread delivers passwords and writes users.

mod plan;
mod row;
mod run;

use crate::app::credential::{Credential, Pending};
use crate::app::users::UserRequest;
use crate::error::{Error, Result};
use crate::formats::row::RowProblem;
use crate::model::name::{DomainName, Username};
use crate::model::password::Form;

pub use plan::{BulkPlan, BulkReporter, plan_users};

/// How users are created from a file.
#[derive(Debug)]
pub struct BulkRequest {
    /// The domain of names without one.
    pub domain: Option<DomainName>,
    /// Add domains that do not exist.
    pub add_domain: bool,
    /// Leave out users that exist.
    pub skip_existing: bool,
    /// The form of generated passwords.
    pub form: Form,
    /// The values of columns that a row leaves empty.
    pub user: UserRequest,
}

/// A user to be created.
#[derive(Debug)]
pub struct PlannedUser {
    /// The row of the file, from 1.
    pub row: i64,
    /// The name of the user.
    pub username: Username,
    /// Whether the username was made up from the label.
    pub made_up: bool,
    /// The domain did not exist and is added. An existing domain that is removed in
    /// the meantime would come back without its limits.
    pub new_domain: bool,
    /// Its values.
    pub user: UserRequest,
}

/// Delivers new passwords in batches. A password that is prepared and not committed must
/// not look valid.
pub trait BatchSink: Pending {
    /// Prepares the delivery of the first users, as many as can be delivered together.
    /// Returns how many, which is at least one. Nothing is locked, so it may wait.
    fn present(&mut self, waiting: &[Credential]) -> Result<usize>;

    /// Learns that these users are committed.
    fn committed(&mut self, made: &[Credential]) -> Result<()>;
}

/// The result of a run.
#[derive(Debug)]
pub struct BulkOutcome {
    /// How many were created.
    pub made: u64,
    /// How many were not created.
    pub left: u64,
    /// Why the run ended early, if it did.
    pub error: Option<Error>,
}
