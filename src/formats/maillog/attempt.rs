//! Attempts to deliver, and orders that replace them: what Postfix and Exim have in common.

/// How an attempt to deliver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The next server, or the mailbox, has it.
    Sent,
    /// It is tried again.
    Deferred,
    /// It failed for good.
    Bounced,
    /// It was thrown away on purpose.
    Discarded,
}

/// One recipient and what happened to it in one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt<'a> {
    /// The final address.
    pub address: &'a [u8],
    /// The address that an alias or a rewrite replaced.
    pub original: Option<&'a [u8]>,
    /// How it ended.
    pub result: AttemptResult,
    /// The enhanced status code.
    pub dsn: Option<&'a [u8]>,
    /// The reply, or the server's own reason.
    pub reply: &'a [u8],
    /// Which delivery agent or transport made it.
    pub agent: Agent,
}

/// Delivery agents whose mail may come back under another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// A program, perhaps a filter that submits the message anew.
    Pipe,
    /// local(8), which expands aliases.
    Local,
    /// Any other.
    Other,
}

/// An order that a rule, a policy service or a milter gave for a whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Throw it away, although the client was told that it is queued.
    Discard,
    /// Keep it until the operator releases it.
    Hold,
}
