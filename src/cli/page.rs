//! Lists in pages.

use clap::Args;

use crate::store::Page;

#[derive(Clone, Copy, Debug, Args)]
pub struct Limit {
    /// So many at most; the next ones are those --after the last of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

impl Limit {
    pub fn behind(self, after: Option<&str>) -> Page<'_> {
        Page {
            after: after.unwrap_or_default(),
            most: self.limit,
        }
    }
}
