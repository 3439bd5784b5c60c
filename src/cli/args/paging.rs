//! The flag of lists that are read in pages.

use clap::Args;

use super::number;
use crate::store::Page;

/// The length of a page.
#[derive(Clone, Copy, Debug, Args)]
pub struct PageArgs {
    /// Show at most N; continue with --after LAST
    #[arg(long, value_name = "N", value_parser = number::within(1..=u32::MAX))]
    pub limit: Option<u32>,
}

impl PageArgs {
    /// Returns the page that begins after this entry, or with the first one.
    pub fn page_after(self, after: Option<&str>) -> Page<'_> {
        Page {
            after: after.unwrap_or_default(),
            most: self.limit,
        }
    }
}
