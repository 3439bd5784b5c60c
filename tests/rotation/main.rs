//! `user rotate`: deliveries, runs that end early, and applications that never lose
//! a working password.

mod before;
mod commands;
mod ended;
mod exchanged;
mod files;
mod outage;
mod places;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
