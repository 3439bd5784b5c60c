//! Hashes that other systems made, as they are stored: Dovecot's `{SCHEME}` and the data.
//! What asks for more than the caps is refused before anything is computed.

mod computable;
mod digest;
mod encoding;
mod parse;
mod reason;
mod schemes;

pub(super) use computable::Computable;
pub(super) use encoding::as_text;
pub(super) use reason::{MAX_LENGTH, TOO_LONG, UNKNOWN, UNSUPPORTED};
pub(super) use schemes::StoredScheme;

pub use reason::HashReason;
