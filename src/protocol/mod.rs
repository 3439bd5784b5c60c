//! The protocols of mail servers: lines to requests, and answers to lines; and HTTP for those who
//! scrape metrics. Pure: no socket, no clock, no store. The caller reads lines from its socket and
//! writes each answer whole.

pub mod auth;
pub mod cache_status;
pub mod http;
pub mod policy;
pub mod sasl;

/// A process id on another machine or in a container: only digits, and not 0.
fn process_id(text: &str, radix: u32) -> Option<u32> {
    let digits = text.chars().all(|c| c.is_digit(radix));
    let id = digits.then(|| u32::from_str_radix(text, radix).ok())??;
    (id > 0).then_some(id)
}
