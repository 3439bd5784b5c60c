//! What mail servers say and are told: lines to meaning and back. Pure: no
//! socket, no clock, no store. Whoever holds the socket reads lines out of it,
//! and writes what it gets from here, whole.

pub mod auth;
pub mod policy;
pub mod sasl;
