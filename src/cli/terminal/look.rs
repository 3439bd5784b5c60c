//! How output looks to people.

use super::color::Color;
use super::pager::PagerChoice;

/// What flags, variables and configuration files say about it.
#[derive(Default)]
pub struct Look {
    pub color: Color,
    pub pager: PagerChoice,
    /// The name of the time zone, and where it comes from; `None` for that of the machine.
    pub zone: Option<(String, String)>,
    /// Whether lists on a terminal show all columns.
    pub wide: bool,
}
