//! `smtpcred show-settings` and `set-settings`

pub mod record;
mod set;
mod show;

pub use set::SetSettings;
pub use show::ShowSettings;
