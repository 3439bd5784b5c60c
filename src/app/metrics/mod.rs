//! What monitoring systems are told, in their words. Names and labels never change their meaning.
//! Names of users and domains are labels of few values only, so that a large store does not flood
//! the system that scrapes it.

pub mod relay;
pub mod store;

pub use crate::formats::openmetrics::{Exposition, ExpositionForm};
use crate::model::time::Time;

/// The most users or limits that a metric names.
pub const MOST_NAMED: u32 = 100;

/// Writes which program this is.
pub fn build(metrics: &mut Exposition) {
    metrics
        .gauge("smtpcred_build_info", "The version of smtpcred.")
        .value(&[("version", env!("CARGO_PKG_VERSION"))], true);
}

/// Writes whether the store can be read.
pub fn store_up(metrics: &mut Exposition, is_up: bool) {
    metrics
        .gauge("smtpcred_store_up", "Whether the store can be read.")
        .value(&[], is_up);
}

/// Returns the seconds since then; 0 for a time to come.
fn age(then: Time, now: Time) -> u64 {
    u64::try_from(now.since(then).seconds()).unwrap_or_default()
}
