//! Lists in pieces: each is read as a whole before anything is done with it, so that
//! whoever takes them slowly keeps nothing from being written, and a list of a
//! million takes little memory. Pieces follow each other by the key of the list, not
//! by number: who is there from the first to the last is in it once.

/// A part of a list: behind a key, and so many at most.
#[derive(Clone, Debug, Default)]
pub struct Page<'a> {
    pub after: &'a str,
    pub most: Option<u32>,
}

/// Rows that are read at once.
pub(super) const PIECE: u32 = 500;

impl Page<'_> {
    pub(super) const fn pieces(&self) -> Pieces {
        Pieces {
            left: self.most,
            wanted: 0,
            ended: false,
        }
    }
}

/// How many to ask for, until there are no more, or enough.
pub(super) struct Pieces {
    left: Option<u32>,
    wanted: u32,
    ended: bool,
}

impl Pieces {
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.ended || self.left == Some(0) {
            return None;
        }
        self.wanted = self.left.map_or(PIECE, |left| left.min(PIECE));
        Some(self.wanted)
    }

    /// So many came. Fewer than asked for are the last.
    pub(super) fn read(&mut self, found: usize) {
        self.read_some(found);
        self.ended = u32::try_from(found).is_ok_and(|found| found < self.wanted);
    }

    /// The same where fewer say nothing.
    pub(super) fn read_some(&mut self, found: usize) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        self.left = self.left.map(|left| left.saturating_sub(found));
    }
}
