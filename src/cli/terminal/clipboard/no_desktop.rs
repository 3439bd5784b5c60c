//! Replaces `desktop` in builds without the `clipboard` feature.

use super::environment::Env;
use crate::model::duration::Duration;
use crate::model::password::Password;

/// Stands for the process that owns a clipboard.
pub struct OwnerProcess;

impl OwnerProcess {
    /// Returns the reason why there is no clipboard.
    pub fn start(env: &Env, _: Duration, _: &Password) -> Result<Self, String> {
        Err(match env.desktop().next() {
            Some(_) => "this smtpcred was built without the desktop's clipboard".to_owned(),
            None => "there is no desktop".to_owned(),
        })
    }

    /// Does nothing.
    #[allow(clippy::unused_self, reason = "as the real one is called")]
    pub fn stop(self) {}
}
