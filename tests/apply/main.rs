//! `apply`: plans, what they change, and what stops them.

mod asked;
mod hostile;
mod places;
mod plans;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
