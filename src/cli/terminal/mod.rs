//! Everything that prints or asks. Nothing outside of this folder writes to stdout, stderr or
//! a terminal.

pub mod clipboard;
pub mod color;
pub mod column;
pub mod command_line;
mod csv;
mod format;
mod layout;
pub mod list;
pub mod live;
pub mod look;
pub mod output;
pub mod pager;
pub mod panel;
mod panel_layout;
mod picker;
pub mod progress;
pub mod prompt;
pub mod record;
pub mod stdout;
pub mod stream;
pub mod times;
pub mod tty;
mod typed;
pub mod watch;
mod wrap;
