//! Messages of users, followed through the log of the mail server to their ends. A state
//! machine without files and clocks: events of the log in, changes of messages out.
//!
//! A message may be several legs: one in the queue of each server, instance or filter that
//! it passes, each with an id of its own. Legs of strangers are kept for a while too: only
//! later lines show that a leg continues a user's message.

mod adopt;
pub mod alerts;
pub mod bounce;
mod exim;
pub mod follower;
mod interner;
pub mod kept;
mod leg;
mod leg_table;
mod links;
mod log_age;
mod outcome;
pub mod past;
mod postfix;
pub mod recent;
mod references;
mod shared_queues;
mod tracker;
