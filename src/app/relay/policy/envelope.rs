//! A request of the policy protocol in the terms of the relay, and the mail server that waits
//! for the answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What a mail server asks about.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Where in the SMTP transaction the mail server asks.
    pub stage: PolicyStage,
    /// Names the message while it is on its way in.
    pub instance: String,
    /// The user who signed in, as the mail server writes it.
    pub username: String,
    /// The address in MAIL FROM.
    pub sender: String,
    /// The address in RCPT TO; empty for a message with several.
    pub recipient: String,
    /// How many recipients were accepted.
    pub recipients: u32,
    /// The size of the message.
    pub bytes: u64,
    /// The address of the SMTP client.
    pub address: Option<IpAddr>,
    /// Names the session; from the mail server.
    pub process: Option<u32>,
    /// The mail server that waits for the answer.
    pub requester: Requester,
}

/// Where in an SMTP transaction a mail server asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyStage {
    /// Before the recipients, or between them and the message.
    Sender,
    /// At RCPT TO.
    Recipient,
    /// The message is whole.
    Message,
}

/// A mail server that asks, and may hang up before it gets the answer.
#[derive(Clone, Debug)]
pub struct Requester {
    left: Arc<AtomicBool>,
    until: Instant,
}

impl Requester {
    /// `until` is the latest time at which it gives up.
    pub fn until(until: Instant) -> Self {
        Self {
            left: Arc::default(),
            until,
        }
    }

    /// Records that the mail server no longer waits.
    pub fn leaves(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Returns whether the mail server no longer waits.
    pub fn is_gone(&self) -> bool {
        self.left.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}
