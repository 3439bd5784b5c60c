//! Where mail servers log to.

use std::path::PathBuf;

/// A log of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// A file, which is rotated.
    File(PathBuf),
    /// The journal of systemd.
    Journal,
}

impl LogSource {
    /// Returns its path, or a name that no absolute path has.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Journal => "journal".to_owned(),
        }
    }
}
