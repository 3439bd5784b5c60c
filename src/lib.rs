//! smtpcred hands out, rotates and revokes SMTP credentials.
//!
//! The folders are layers: each names only those to the right of its arrow. All of them
//! name `model` and `error`, which name no other.
//!
//! ```text
//! cli     -> setup, serve, follow, scan, deliver, doctor, smtp, dns, app, store, files, host
//! setup   -> doctor, app, smtp, store, files
//! doctor  -> app, smtp, protocol, store, files
//! deliver -> app, smtp, files
//! serve   -> app, protocol, files
//! follow  -> app, store, formats, files
//! scan    -> files
//! app     -> store, formats
//! store   -> files, tls
//! smtp    -> tls
//! ```
//!
//! - `cli`: the terminal: arguments, output, prompts, the clipboard
//! - `serve`: sockets and threads around the protocols and `app`
//! - `follow`: reads the logs of mail servers as they grow, and records what they say
//! - `scan`: searches files, archives and Git repositories for passwords
//! - `deliver`: runs commands and writes files that get new passwords
//! - `setup`: changes the configuration of mail servers on this machine
//! - `doctor`: checks what is set up on this machine
//! - `app`: what smtpcred does, without a terminal, SQL or a socket
//! - `store`: every SQL statement
//! - `smtp`: a client for mail servers
//! - `dns`: a client for name servers
//! - `tls`: which certificates every client trusts
//! - `protocol`: reads and writes the lines that mail servers exchange; pure
//! - `formats`: reads the files of other systems; pure
//! - `files`: opens and writes files in folders that other users may change
//! - `host`: the clock, random numbers, the actor, the process
//! - `model`: checked values and the rules about them; pure
//! - `error`: every error with its message, hint, code and exit code

// One folder prints, one place exits, nothing that input can cause panics.
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
pub mod files;
pub mod follow;
pub mod formats;
pub mod host;
pub mod model;
pub mod protocol;
pub mod scan;
pub mod serve;
pub mod setup;
pub mod smtp;
pub mod store;
#[cfg(any(feature = "postgres", feature = "smtp"))]
mod tls;
