//! Asks a DNS resolver. It does not follow referrals itself.

#[cfg(feature = "dns")]
mod hickory;
#[cfg(not(feature = "dns"))]
mod without;

#[cfg(feature = "dns")]
pub use hickory::Resolver;
#[cfg(not(feature = "dns"))]
pub use without::Resolver;
