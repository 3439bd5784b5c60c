//! The configuration files and the command that changes them. In order of
//! precedence: a flag, an environment variable, the user's file, the file for all users.

mod candidates;
pub mod command;
mod edit;
pub mod file;
pub mod key;
pub mod settings;
pub mod value;
