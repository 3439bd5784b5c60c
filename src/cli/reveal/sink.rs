//! Where a new password goes.

use crate::app::credential::{Credential, Handover, Pending};
use crate::cli::terminal::output::Output;
use crate::error::Result;

/// A destination of one new password.
pub trait PasswordSink: Handover {
    /// Does and reports what is left once the change is committed.
    fn finish(&mut self, out: &Output);
}

/// The sink of a chosen password, which is already known.
pub struct NoReveal;

impl Handover for NoReveal {
    fn present(&mut self, _: Credential) -> Result<()> {
        Ok(())
    }
}

impl Pending for NoReveal {
    fn commit_delivery(&mut self) -> Result<()> {
        Ok(())
    }

    fn withdraw(&mut self) {}

    fn is_out(&self) -> bool {
        false
    }
}

impl PasswordSink for NoReveal {
    fn finish(&mut self, _: &Output) {}
}
