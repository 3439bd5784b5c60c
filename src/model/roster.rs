//! Users as they come from files and go into them: everything there is to say of
//! one, the hashes included.

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::name::Username;
use super::password::KeyId;
use super::text::hexadecimal;
use super::time::Time;

/// What is exported of a user; the last five are about hashes.
pub const EXPORTED: [&str; 16] = [
    "username",
    "label",
    "suspended_at",
    "expires_at",
    "daily_limit",
    "limits",
    "on_limit",
    "senders",
    "created_at",
    "key_id",
    "password_created_at",
    "hash",
    "old_key_id",
    "old_password_created_at",
    "old_retires_at",
    "old_hash",
];

/// What a file says of a user. Absent is not said, and stays as it is; of what
/// can be taken away, the empty value takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// 0 for none, as all that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<i64>,
    /// In order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<String>>,
    /// `kind=number`, with spaces, in the order of kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// One that works beside it, for some time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Secret>,
}

/// A password: its hash, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    pub hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<i64>,
    /// Made of what the file had, or in place of it: it is not in the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub made_here: bool,
}

/// A user as the store has it, with all its passwords, the newest first.
#[derive(Clone, Debug)]
pub struct Kept {
    pub username: Username,
    pub entry: Entry,
    pub passwords: Vec<KeptPassword>,
}

#[derive(Clone, Debug)]
pub struct KeptPassword {
    pub key: KeyId,
    /// Nothing of one that was stopped.
    pub hash: Option<String>,
    pub created_at: Time,
    pub retires_at: Option<Time>,
    /// See [`mark`].
    pub imported: Option<String>,
}

/// What stands for every hash that has no salt.
const UNSALTED: &str = "unsalted";

/// By what a hash that was brought along is known again, when it is gone. With its
/// salt gone, too, nobody can try passwords against it; without a salt everybody
/// could, as fast as against the hash, so nothing of that one is kept.
pub fn mark(hash: &str) -> String {
    if !Hash::scheme_of(hash).is_salted() {
        return UNSALTED.to_owned();
    }
    let mut hasher = blake3::Hasher::new_derive_key("smtpcred 2026-11-21 imported hash");
    hasher.update(hash.as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    hexadecimal(&bytes)
}

impl Entry {
    /// The names of the columns in which the store has something else.
    pub fn differences(&self, kept: &Kept) -> Vec<&'static str> {
        fn differs<T: PartialEq>(said: Option<&T>, has: Option<&T>) -> bool {
            said.is_some() && said != has
        }
        let has = &kept.entry;
        // Since when is not what matters.
        let stopped = |at: Option<i64>| at.map(|at| at != 0);
        let columns = [
            ("label", differs(self.label.as_ref(), has.label.as_ref())),
            (
                "daily_limit",
                differs(self.daily_limit.as_ref(), has.daily_limit.as_ref()),
            ),
            (
                "expires_at",
                differs(self.expires_at.as_ref(), has.expires_at.as_ref()),
            ),
            (
                "suspended_at",
                differs(
                    stopped(self.suspended_at).as_ref(),
                    stopped(has.suspended_at).as_ref(),
                ),
            ),
            (
                "senders",
                differs(self.senders.as_ref(), has.senders.as_ref()),
            ),
            ("limits", differs(self.limits.as_ref(), has.limits.as_ref())),
            (
                "on_limit",
                differs(self.on_limit.as_ref(), has.on_limit.as_ref()),
            ),
            (
                "hash",
                self.password
                    .as_ref()
                    .is_some_and(|secret| !kept.had(secret)),
            ),
        ];
        let differing = columns.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name).collect()
    }
}

impl Kept {
    /// It has this password, also under a newer hash; or had it, and it was
    /// replaced or stopped since: that is not undone.
    fn had(&self, secret: &Secret) -> bool {
        let marked = mark(&secret.hash);
        self.passwords.iter().any(|password| {
            let hash = password.hash.as_ref();
            // Of one without a salt: that there was one, and that it is gone.
            let gone = hash.is_none_or(|hash| Hash::scheme_of(hash).is_salted());
            hash == Some(&secret.hash)
                || password.imported.as_ref() == Some(&marked) && (gone || marked != UNSALTED)
                || secret.key.as_deref() == Some(password.key.as_str())
        })
    }

    /// The passwords that work: the newest, and one beside it.
    pub fn live(&self, now: Time) -> impl Iterator<Item = &KeptPassword> {
        let live = self.passwords.iter();
        live.filter(move |p| p.hash.is_some() && p.retires_at.is_none_or(|at| now < at))
    }
}

impl Secret {
    /// One that was made here, in place of what a file had.
    pub fn made(hash: &Hash) -> Self {
        Self {
            hash: hash.as_str().to_owned(),
            made_here: true,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_tells_a_password_that_anybody_can_try() {
        let one = mark("{SHA}RhVFtakyww60vVen1PdXBx1VOaY=");
        assert_eq!(one, mark("{SHA}Ap4iJZEyXYqkT0tRWJhp33BCdlU="));
        assert_eq!(one, mark("{PLAIN-MD5}504d29647770fc46e054b810d4725657"));
        let salted = mark("{SSHA}072n9Up0EXwoHELnkByGvltdBTUVtDtz");
        assert_ne!(salted, one);
        assert_ne!(salted, mark("{SSHA}172n9Up0EXwoHELnkByGvltdBTUVtDtz"));
    }
}
