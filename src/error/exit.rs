//! Exit codes of commands.

/// The exit codes. They are promised to scripts and never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// It failed; trying again does not help by itself.
    Failed = 1,
    /// The command line or a value in it is wrong.
    Usage = 2,
    /// The domain, user or password does not exist.
    NotFound = 3,
    /// A rule does not allow it.
    Refused = 4,
    /// A confirmation is missing, or was refused.
    Unconfirmed = 5,
    /// The password is wrong.
    WrongPassword = 6,
    /// It was checked, and something needs attention.
    Attention = 7,
    /// A dry run found changes to make.
    WouldChange = 8,
    /// The output could not be delivered; nothing changed.
    Undelivered = 74,
    /// The cause is temporary: the same command may succeed later.
    TryAgain = 75,
    /// A signal ended it; nothing changed.
    Interrupted = 130,
}

impl Exit {
    /// The one table behind `--help`, the man page and the README.
    pub const TABLE: [(Self, &str); 12] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "the command line or a value in it is wrong"),
        (Self::NotFound, "no such domain or user"),
        (Self::Refused, "refused: exists, limit reached, policy"),
        (Self::Unconfirmed, "needs confirmation, or was cancelled"),
        (Self::WrongPassword, "wrong password"),
        (Self::Attention, "something needs attention"),
        (
            Self::WouldChange,
            "something would change: --dry-run of apply and setup",
        ),
        (
            Self::Undelivered,
            "the output could not be delivered; nothing changed",
        ),
        (
            Self::TryAgain,
            "temporary: the store is busy, full, missing or unreachable",
        ),
        (Self::Interrupted, "interrupted"),
    ];
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
