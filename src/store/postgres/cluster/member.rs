//! One address of one server.

use std::net::IpAddr;

use crate::store::postgres::connection::PgConnection;
use crate::store::postgres::instance::Instance;
use crate::store::postgres::pg_error::{PgError, PgResult};

/// One address of a server, and what is known of it.
pub struct Member {
    /// Its server's number in the url.
    pub server: usize,
    pub address: Option<IpAddr>,
    /// Kept open for the next query.
    pub connection: Option<PgConnection>,
    /// A thread is asking it.
    pub asking: bool,
    /// It did not answer in time: callers do not wait for it again until it answers.
    pub silent: bool,
    pub said: Option<PgResult<Instance>>,
}

impl Member {
    /// Returns an address that was not asked yet.
    pub const fn new(server: usize, address: Option<IpAddr>) -> Self {
        Self {
            server,
            address,
            connection: None,
            asking: false,
            silent: false,
            said: None,
        }
    }

    /// Returns the number of its server, and its address.
    pub const fn place(&self) -> (usize, Option<IpAddr>) {
        (self.server, self.address)
    }

    /// Returns whether it accepted writes at its last answer.
    pub fn writes(&self) -> bool {
        matches!(&self.said, Some(Ok(instance)) if instance.writes)
    }

    /// Returns its role, or why it is unknown, and whether a running server hides its role.
    pub fn found(&self) -> (String, bool) {
        match &self.said {
            Some(Ok(said)) => (said.described(), false),
            Some(Err(PgError::Lost(reason) | PgError::NotReady(reason))) => (reason.clone(), false),
            Some(Err(PgError::Sql(no))) => (no.message.clone(), true),
            Some(Err(PgError::NotPostgres(reason))) => (reason.clone(), true),
            Some(Err(PgError::Unfit(unfit) | PgError::SplitBrain(unfit))) => {
                (unfit.reason.clone(), true)
            }
            None => ("it does not answer".into(), true),
        }
    }
}
