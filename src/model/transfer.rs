//! Users as files have them and as the store has them, hashes included.

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::name::Username;
use super::password::PasswordId;
use super::text::hexadecimal;
use super::time::Time;

/// The exported fields of a user; the last seven are about hashes.
pub const EXPORTED: [&str; 20] = [
    "username",
    "label",
    "suspended_at",
    "expires_at",
    "daily_limit",
    "limits",
    "on_limit",
    "senders",
    "created_at",
    "note",
    "tags",
    "password_id",
    "password_created_at",
    "hash",
    "generated",
    "old_password_id",
    "old_password_created_at",
    "old_retires_at",
    "old_hash",
    "old_generated",
];

/// The values of a user in a file. A value that is absent stays as it is in the store;
/// an empty one clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferRecord {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A note about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `key=value` each, in the order of keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// 0 means none, as for the times that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_limit: Option<u32>,
    /// When it expires, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// When it was suspended, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<i64>,
    /// Sorted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<String>>,
    /// `kind=number`, separated by spaces, in the order of kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
    /// What happens at a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<String>,
    /// When it was created, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// The newest password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<TransferPassword>,
    /// The old password, which works until it retires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<TransferPassword>,
}

/// A password of a user in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferPassword {
    /// The hash, with its scheme.
    pub hash: String,
    /// The password's ID; `None` if the file has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_id: Option<String>,
    /// When it was made, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<i64>,
    /// When it stops, in seconds since 1970; `None` is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<i64>,
    /// Whether the hash was made here and is not in the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub made_here: bool,
    /// Whether it was generated for a new user that has none in the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
    /// Whether smtpcred generated it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
}

/// A user in the store, with all its passwords, the newest first.
#[derive(Clone, Debug)]
pub struct StoredUser {
    /// The user's name.
    pub username: Username,
    /// Its values, as an export writes them.
    pub record: TransferRecord,
    /// Its passwords.
    pub passwords: Vec<StoredPassword>,
}

/// A password in the store, with its hash.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// The password's ID.
    pub password_id: PasswordId,
    /// `None` if the password was stopped.
    pub hash: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it stops; `None` is never.
    pub retires_at: Option<Time>,
    /// The [`fingerprint`] of an imported hash.
    pub imported: Option<String>,
    /// Whether smtpcred generated it, as far as it is known.
    pub generated: bool,
}

/// The fingerprint of every hash without a salt.
const UNSALTED: &str = "unsalted";

/// Returns the fingerprint by which an imported hash is recognised after it was erased.
/// Passwords cannot be tried against it, because the salt is erased too. For a hash
/// without a salt they could, as fast as against the hash itself, so those share one.
pub fn fingerprint(hash: &str) -> String {
    if !Hash::scheme_of(hash).is_salted() {
        return UNSALTED.to_owned();
    }
    let mut hasher = blake3::Hasher::new_derive_key("smtpcred 2026-11-21 imported hash");
    hasher.update(hash.as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    hexadecimal(&bytes)
}

impl TransferRecord {
    /// Returns the names of the columns that differ from the store.
    pub fn differences(&self, kept: &StoredUser) -> Vec<&'static str> {
        fn differs<T: PartialEq>(said: Option<&T>, has: Option<&T>) -> bool {
            said.is_some() && said != has
        }
        let has = &kept.record;
        // The time of the suspension does not matter.
        let stopped = |at: Option<i64>| at.map(|at| at != 0);
        let columns = [
            ("label", differs(self.label.as_ref(), has.label.as_ref())),
            ("note", differs(self.note.as_ref(), has.note.as_ref())),
            ("tags", differs(self.tags.as_ref(), has.tags.as_ref())),
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
                    .is_some_and(|secret| kept.find(secret).is_none()),
            ),
        ];
        let differing = columns.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name).collect()
    }
}

impl StoredUser {
    /// Returns the stored password that a password of a file stands for. Its hash may be a
    /// newer one, and it may have been replaced or stopped since: an import does not undo
    /// that.
    pub fn find(&self, secret: &TransferPassword) -> Option<&StoredPassword> {
        let marked = fingerprint(&secret.hash);
        self.passwords.iter().find(|password| {
            let hash = password.hash.as_ref();
            // Without a salt, the fingerprint only shows that an imported hash was erased.
            let gone = hash.is_none_or(|hash| Hash::scheme_of(hash).is_salted());
            hash == Some(&secret.hash)
                || password.imported.as_ref() == Some(&marked) && (gone || marked != UNSALTED)
                || secret.password_id.as_deref() == Some(password.password_id.as_str())
        })
    }

    /// Returns the live passwords: the newest, and the old one.
    pub fn live(&self, now: Time) -> impl Iterator<Item = &StoredPassword> {
        let live = self.passwords.iter();
        live.filter(move |p| p.hash.is_some() && p.retires_at.is_none_or(|at| now < at))
    }
}

impl TransferPassword {
    /// Returns whether it has not retired.
    pub fn works(&self, now: Time) -> bool {
        self.retires_at.is_none_or(|at| at > now.epoch())
    }

    /// Makes a password of a hash that is not in the file.
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
        let one = fingerprint("{SHA}RhVFtakyww60vVen1PdXBx1VOaY=");
        assert_eq!(one, fingerprint("{SHA}Ap4iJZEyXYqkT0tRWJhp33BCdlU="));
        assert_eq!(
            one,
            fingerprint("{PLAIN-MD5}504d29647770fc46e054b810d4725657")
        );
        let salted = fingerprint("{SSHA}072n9Up0EXwoHELnkByGvltdBTUVtDtz");
        assert_ne!(salted, one);
        assert_ne!(
            salted,
            fingerprint("{SSHA}172n9Up0EXwoHELnkByGvltdBTUVtDtz")
        );
    }
}
