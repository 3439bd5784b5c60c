//! The configuration files and the command that changes them. A flag takes precedence over
//! a variable of the environment, that over the user's file, and that over the file for all
//! users.

pub mod command;
mod edit;
pub mod file;
pub mod key;
pub mod settings;
pub mod value;
