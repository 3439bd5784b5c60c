//! `doctor`, `test` and `domain check`: everything that looks at mail servers and
//! name servers from outside.

mod claims;
mod dns;
mod dns_broken;
mod explanations;
mod faults;
mod hostile_servers;
mod ports;
mod safe;
mod servers;
mod setup;
mod setup_exim;
mod setup_transcript;
#[path = "../support/mod.rs"]
mod support;
mod test_command;
mod verified_domains;
