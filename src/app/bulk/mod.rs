//! Many users at once, from a file. All rows are checked before anything is changed;
//! then all processors hash, and one thread hands over and writes.

mod plan;
mod row;
mod run;

use crate::app::credential::{Credential, Pending};
use crate::app::import::Problem;
use crate::app::users::UserRequest;
use crate::error::{Error, Result};
use crate::model::name::{DomainName, Username};
use crate::model::password::Form;

pub use plan::{Clerk, Plan, plan_users};

#[derive(Debug)]
pub struct BulkRequest {
    /// Of names that have none.
    pub domain: Option<DomainName>,
    pub add_domain: bool,
    /// Users that are there are left out.
    pub skip_existing: bool,
    pub form: Form,
    /// What holds where a row says nothing else.
    pub user: UserRequest,
}

/// A user to be created.
#[derive(Debug)]
pub struct PlannedUser {
    pub row: i64,
    pub username: Username,
    /// From its label.
    pub made_up: bool,
    pub user: UserRequest,
}

/// How new passwords leave, several together. What is prepared of them and not
/// committed must not look as if it worked.
pub trait Batches: Pending {
    /// Takes as many as can be handed over together, from the first on and one at
    /// least; says how many. Nothing is locked, so it may wait.
    fn prepare(&mut self, waiting: &[Credential]) -> Result<usize>;

    /// What was delivered is committed: these users exist.
    fn committed(&mut self, made: &[Credential]) -> Result<()>;
}

/// What came of a run.
#[derive(Debug)]
pub struct Created {
    pub made: u64,
    /// Not created.
    pub left: u64,
    /// Why it ended before all were.
    pub error: Option<Error>,
}
