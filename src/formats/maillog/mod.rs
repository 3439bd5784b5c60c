//! Logs of mail servers, turned into events: Postfix (syslog with traditional and RFC 3339
//! time, the journal's JSON) and Exim (its mainlog, or by syslog). Pure, over bytes, from
//! left to right: text that strangers choose, as addresses and replies, is never searched
//! for fields.

pub mod address;
pub mod attempt;
pub mod chunks;
pub mod clock;
pub mod exim;
mod exim_address;
pub mod exim_fields;
pub mod header;
pub mod journal;
pub mod lines;
pub mod log_reader;
pub mod postfix;
mod postfix_fields;
pub mod queue_id;
pub mod reply;
