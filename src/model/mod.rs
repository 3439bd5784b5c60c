//! Checked values: what a name, a password, a limit may be. Pure: no clock, no
//! disk, no terminal.

pub mod actor;
pub mod day;
pub mod delivery;
pub mod dns;
pub mod domain;
pub mod duration;
pub mod event;
pub mod hash;
pub mod label;
pub mod limits;
pub mod location;
pub mod mailbox;
pub mod name;
pub mod password;
pub mod plan;
pub mod refusal;
pub mod role;
pub mod roster;
pub mod rotation;
pub mod sender;
pub mod server;
pub mod session;
pub mod settings;
pub mod tally;
pub mod text;
pub mod time;
pub mod usage;
pub mod user;
pub mod weak;
