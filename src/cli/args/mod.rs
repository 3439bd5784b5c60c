//! Flags and values that several commands share.

pub mod limits;
pub mod number;
pub mod paging;
pub mod password;
pub mod path;
pub mod rotation;
mod secret_line;
pub mod strength;
pub mod tags;
pub mod view;
