//! Signing in to a running relay: the decision, what it keeps in memory, and which password
//! is hashed next.

mod attempt;
mod cache;
mod decide;
mod digest;
mod hash_job;
mod hash_queue;
mod look_up;
mod record;
mod remembered;
mod throttle;
mod upgrade;

pub use attempt::Attempt;
pub use decide::{Accepted, SignInDecision};
pub use digest::{Digest, keyed};
pub use hash_job::{HashJob, HashOutcome};
pub use hash_queue::{HashQueue, Ticket};
pub use throttle::{LATEST, Throttle};
pub use upgrade::Upgrade;

pub use cache::SignInCache;
