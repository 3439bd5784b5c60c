//! smtpcred hands out, rotates and revokes SMTP credentials.
//!
//! The folders are layers, and names point downwards only:
//!
//! ```text
//! main -> cli -> app -> store -> model
//!         cli -> serve -> app, protocol
//!         cli -> deliver -> app, smtp
//!         cli -> dns, smtp
//!         cli -> doctor -> app, smtp, protocol
//! ```
//!
//! - `cli`: the terminal: arguments, output, prompts, the clipboard
//! - `serve`: sockets and threads around the protocols and `app`
//! - `deliver`: commands and files that new passwords are taken to
//! - `doctor`: what is set up on this machine, examined
//! - `smtp`: a client of mail servers
//! - `dns`: a client of name servers
//! - `protocol`: what mail servers say, lines to meaning, pure
//! - `app`: what smtpcred does, without a terminal, SQL or a socket
//! - `store`: every SQL statement
//! - `model`: checked values, pure
//! - `error`: what can go wrong, and the exit codes; named by everybody

// One module prints, one place exits, nothing that input can cause panics.
// (Tests may.)
#![warn(
    clippy::dbg_macro,
    clippy::exit,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::todo,
    clippy::unwrap_used
)]

pub mod app;
pub mod cli;
pub mod deliver;
pub mod dns;
pub mod doctor;
pub mod error;
pub mod model;
pub mod protocol;
pub mod serve;
pub mod smtp;
pub mod store;
