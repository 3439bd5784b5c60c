//! The project itself: its layers, its language, and the files made from the program.

mod circles;
mod commands;
mod containers;
mod dist;
mod fuzz_corpus;
mod generated;
mod installed;
mod installed_servers;
mod layers;
mod package;
mod readme;
mod roles;
#[path = "../support/mod.rs"]
mod support;
mod words;
