//! The progress of long commands.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{Output, OutputFormat};

/// A progress bar on stderr.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins a bar of this many steps. Returns `None` if stderr is no terminal, or if there are
    /// too few steps to watch.
    pub fn begin(out: &Output, steps: usize) -> Option<Self> {
        const FEW: usize = 10;
        if steps < FEW || !is_watched(out) {
            return None;
        }
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Some(Self(bar))
    }

    /// Begins a spinner, for work that describes its own progress. Returns `None` if stderr is no
    /// terminal.
    pub fn unbounded(out: &Output) -> Option<Self> {
        is_watched(out).then(|| Self(ProgressBar::new_spinner()))
    }

    /// Shows how far the work is.
    pub fn say(&self, how_far: String) {
        self.0.set_message(how_far);
        self.0.tick();
    }

    /// Advances the bar by one step.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// Prints above the bar.
    pub fn aside(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn is_watched(out: &Output) -> bool {
    !out.is_quiet() && out.format() != OutputFormat::Json && io::stderr().is_terminal()
}
