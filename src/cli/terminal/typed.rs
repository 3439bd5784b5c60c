//! A line that is being typed, key by key.

use std::borrow::Cow;

const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;
/// In bytes.
const MOST: usize = 1024;

/// What was typed so far. It is no secret.
#[derive(Default)]
pub(super) struct Typed(Vec<u8>);

impl Typed {
    /// Takes a key. Returns whether it changed the line.
    pub(super) fn key(&mut self, key: u8) -> bool {
        let before = self.0.len();
        match key {
            // Remove a whole character, which may have several bytes.
            BACKSPACE | DELETE => while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            CTRL_U => self.0.clear(),
            0x20.. if before < MOST => self.0.push(key),
            _ => {}
        }
        self.0.len() != before
    }

    /// Returns whether this key added the last byte.
    pub(super) fn ends_with(&self, key: u8) -> bool {
        key >= b' ' && self.0.last() == Some(&key)
    }

    /// Returns the text.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}
