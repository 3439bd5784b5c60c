//! How far a long command is, for somebody who watches.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

pub struct Progress(ProgressBar);

impl Progress {
    /// Nothing where nobody watches, or it would be over at once.
    pub fn begin(out: &Output, steps: usize) -> Option<Self> {
        const FEW: usize = 10;
        if out.is_quiet() || steps < FEW || !io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Some(Self(bar))
    }

    pub fn step(&self) {
        self.0.inc(1);
    }

    /// What is printed meanwhile stands above it.
    pub fn aside(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
