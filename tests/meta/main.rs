//! The project itself: its layers, its language, and the files made from the program.

mod circles;
mod commands;
mod dist;
mod fuzz_corpus;
mod generated;
mod layers;
mod readme;
#[path = "../support/mod.rs"]
mod support;
mod words;
