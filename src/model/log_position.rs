//! How far a log was read.

use super::log_time::LogTime;
use super::time::Time;

/// How far a log was read, saved with the messages that came from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The path of the file, or a name for the journal.
    pub source: String,
    /// The file that had this path: its device and inode.
    pub file: Option<(u64, u64)>,
    /// The end of the last whole line in that file.
    pub offset: u64,
    /// The cursor of the journal's last entry.
    pub cursor: Option<String>,
    /// When it was read.
    pub read_at: Time,
    /// The time of its last line.
    pub log_at: Option<LogTime>,
    /// How many lines the system says were dropped, in all.
    pub dropped: u64,
}
