//! Asking the DNS, as a stub resolver does: somebody else does the walking.

#[cfg(feature = "dns")]
mod hickory;
#[cfg(not(feature = "dns"))]
mod without;

#[cfg(feature = "dns")]
pub use hickory::Resolver;
#[cfg(not(feature = "dns"))]
pub use without::Resolver;
