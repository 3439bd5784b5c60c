//! The command line: input, output, terminals, and passwords shown once.

mod alerts;
mod audit;
mod bad_input;
mod clipboard;
mod clipboard_terminal;
mod config;
mod golden;
mod guesses;
mod handover;
mod help;
mod hygiene;
mod issue;
mod lists;
mod looks;
mod message_alerts;
mod near;
mod panel;
mod picker;
mod prompts;
mod report;
mod report_page;
mod roles;
mod roles_ssh;
mod scan;
mod scan_git;
mod scan_killed;
mod scanners;
mod several;
mod snippets;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod times;
mod values;
