//! How a store is opened.

/// What a command needs the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It must exist.
    Existing,
    /// It is created if it does not exist.
    Create,
    /// It must exist, and is migrated to this program's version.
    Migrate,
    /// For a diagnosis: nothing is changed, even if it is old or unsafe.
    Look,
}
