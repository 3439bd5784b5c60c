//! A sending domain as the store knows it.

use super::name::{DomainName, HostName};
use super::time::Time;

/// A domain and its settings.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// Where it differs from the installation's.
    pub host: Option<HostName>,
    /// The most users it may have; `None` is no limit.
    pub max_users: Option<u32>,
    /// Messages a day, all users together.
    pub daily_limit: Option<u32>,
    /// When its token was found in the DNS.
    pub verified_at: Option<Time>,
    /// When it was added.
    pub created_at: Time,
}
