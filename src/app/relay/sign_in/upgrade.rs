//! Remembers a right password that was hashed, and has it hashed again if its hash costs
//! less than the settings ask for.

use super::attempt::Attempt;
use super::cache::SignInCache;
use super::digest::{digest_of, proof};
use super::hash_job::MatchedPassword;
use crate::app::relay::Relay;
use crate::error::Result;
use crate::model::hash::{Cost, Hash};
use crate::model::name::Username;
use crate::model::password::PasswordId;

/// A password to hash again.
pub struct Upgrade {
    /// The user.
    pub username: Username,
    /// The password.
    pub password_id: PasswordId,
    /// The stored hash to replace.
    pub old: String,
    /// The cost of the new hash.
    pub cost: Cost,
}

impl Relay {
    /// Remembers a right password. Returns an upgrade if its hash costs too little.
    pub(super) fn remember(
        &mut self,
        username: &Username,
        password: &MatchedPassword,
        attempt: &Attempt,
    ) -> Result<Option<Upgrade>> {
        let cost = self.settings()?.argon2;
        self.sign_ins.remember(username, &password.hash, attempt);
        Ok(password.hash.is_cheaper_than(cost).then(|| Upgrade {
            username: username.clone(),
            password_id: password.id.clone(),
            old: password.hash.as_str().to_owned(),
            cost,
        }))
    }

    /// Remembers the password under its new hash, which is about to be stored. If that
    /// fails, the entry is useless but harmless.
    pub fn upgraded(&mut self, upgrade: &Upgrade, attempt: &Attempt, hash: &Hash) {
        self.sign_ins.remember(&upgrade.username, hash, attempt);
    }
}

impl SignInCache {
    fn remember(&mut self, username: &Username, hash: &Hash, attempt: &Attempt) {
        let digest = digest_of(hash.as_str());
        let name = username.as_str();
        self.right
            .add(proof(&self.secret, name, &digest, &attempt.password));
    }
}
