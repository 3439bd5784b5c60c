//! Lists in pieces. Each piece is read before it is used, so a slow reader blocks no
//! writer, and a list of a million takes little memory. A piece begins after a key, not
//! at a number: an entry that exists all the time is listed once.

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page<'a> {
    /// The key of the last one before; empty for the beginning.
    pub after: &'a str,
    /// The most entries; `None` for all.
    pub most: Option<u32>,
}

/// How many rows are read at once.
pub(super) const PIECE: u32 = 500;

impl Page<'_> {
    /// Divides the page into pieces.
    pub(super) const fn pieces(&self) -> Pieces {
        Pieces {
            left: self.most,
            wanted: 0,
            ended: false,
        }
    }
}

/// Counts the pieces of a page.
pub(super) struct Pieces {
    left: Option<u32>,
    wanted: u32,
    ended: bool,
}

impl Pieces {
    /// Returns how many rows to read next; `None` after the last piece.
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.ended || self.left == Some(0) {
            return None;
        }
        self.wanted = self.left.map_or(PIECE, |left| left.min(PIECE));
        Some(self.wanted)
    }

    /// Notes how many rows were found. Fewer than requested are the last ones.
    pub(super) fn read(&mut self, found: usize) {
        self.read_some(found);
        self.ended = u32::try_from(found).is_ok_and(|found| found < self.wanted);
    }

    /// Notes how many rows were found, where fewer than requested need not be the last.
    pub(super) fn read_some(&mut self, found: usize) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        self.left = self.left.map(|left| left.saturating_sub(found));
    }
}
