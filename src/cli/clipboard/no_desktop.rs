//! Stands in for `desktop` where that is not built in.

use super::environment::Env;
use crate::model::duration::Duration;
use crate::model::password::Password;

pub struct OwnerProcess;

impl OwnerProcess {
    pub fn start(env: &Env, _: Duration, _: &Password) -> Result<Self, String> {
        Err(match env.desktop().next() {
            Some(_) => "this smtpcred was built without the desktop's clipboard".to_owned(),
            None => "there is no desktop".to_owned(),
        })
    }

    #[allow(clippy::unused_self, reason = "as the real one is called")]
    pub fn stop(self) {}
}
