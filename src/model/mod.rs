//! Checked values: what a name, a password, a limit may be. Pure: no clock, no
//! disk, no terminal.

pub mod actor;
pub mod domain;
pub mod duration;
pub mod event;
pub mod hash;
pub mod label;
pub mod name;
pub mod password;
pub mod settings;
pub mod text;
pub mod time;
pub mod user;
pub mod weak;
