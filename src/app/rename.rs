//! Renames users, and reports the places that still contain the old name.

use super::users::limit_reached;
use super::{App, need_domain, need_no_rotation, need_user, taken};
use crate::error::{Error, Result};
use crate::model::delivery::{Destination, PathTemplate};
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::old_name::OldName;
use crate::model::sender::Sender;
use crate::model::text::in_shell;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::Store;

/// A user that was renamed.
pub struct Renamed {
    /// The user under its new name.
    pub user: User,
    /// Its old name, and until when that works.
    pub old: OldName,
    /// What was done.
    pub done: RenameStep,
    /// What it may send as; empty: all addresses of its domain.
    pub senders: Vec<Sender>,
    /// Where its next password goes.
    pub delivery: Destination,
}

/// What a rename did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameStep {
    /// The user got the new name.
    Renamed,
    /// It had the new name; its old one stops at another time.
    OldNameSet,
    /// It had the new name, and its old one has stopped.
    Nothing,
}

impl App {
    /// Renames a user, whose old name works for the overlap. Once it is renamed, the same call
    /// sets the overlap anew; without one, the old name stops at once. A name that has stopped
    /// does not work again.
    pub fn rename_user(
        &mut self,
        old: &Username,
        new: &Username,
        overlap: Option<Duration>,
    ) -> Result<Renamed> {
        if old == new {
            return Err(Error::Usage(format!("the user is already named {new}")));
        }
        let now = self.now().plausible()?;
        let until = overlap.map(|overlap| now.plus(overlap));
        let mut tx = self.begin()?;
        let is_renamed = is_renamed(tx.store(), old, new)?;
        let done = match &is_renamed {
            None => {
                check(tx.store(), old, new, now)?;
                tx.rename_user(old, new, until)?;
                RenameStep::Renamed
            }
            Some(known) if !known.works(now) => {
                if until.is_some() {
                    return Err(Error::OldNameStopped {
                        username: old.to_string(),
                        new: new.to_string(),
                    });
                }
                RenameStep::Nothing
            }
            Some(_) => {
                tx.set_old_name(old, new, until)?;
                RenameStep::OldNameSet
            }
        };
        let gone = || Error::ChangedMeanwhile(format!("{new} is gone"));
        let user = need_user(tx.store(), new, now)?;
        let renamed = Renamed {
            senders: tx.store().senders(new)?,
            delivery: tx.store().rotation_rules(new)?.delivery,
            old: tx.store().old_name(old)?.ok_or_else(gone)?,
            user,
            done,
        };
        if done != RenameStep::Nothing {
            tx.commit()?;
        }
        Ok(renamed)
    }
}

/// Returns the old name if an earlier call has renamed this user.
fn is_renamed(store: &mut Store, old: &Username, new: &Username) -> Result<Option<OldName>> {
    let known = store.old_name(old)?;
    Ok(known.filter(|known| known.username == *new))
}

/// Fails if the user cannot get this name now.
fn check(store: &mut Store, old: &Username, new: &Username, now: Time) -> Result<()> {
    let user = need_user(store, old, now)?;
    if store.user(new)?.is_some() {
        return Err(Error::UserExists(new.to_string()));
    }
    match store.old_name(new)? {
        // It gets an earlier name of its own back.
        Some(known) if known.username == *old => {}
        Some(known) if known.works(now) => return Err(taken(&known, now)),
        _ => {}
    }
    let domain = need_domain(store, &new.domain())?;
    if new.domain() != old.domain() {
        limit_reached(store, &domain)?;
    }
    // A delivery that is under way names the old name.
    need_no_rotation(store, &user, now)
}

impl Renamed {
    /// Returns the places that may still contain the old name, each with a command to fix it.
    pub fn warnings(&self, now: Time) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.sends_as(now));
        let delivery = &self.delivery;
        if let Some(path) = &delivery.write_file {
            warnings.extend(self.moved(path, "--write-file"));
        }
        if let Some(path) = &delivery.write_env {
            warnings.extend(self.moved(path, "--write-env"));
            let file = path.of(&self.old.old_name);
            let (old, file) = (self.old.old_name.in_shell(), in_shell(&file));
            warnings.push(format!(
                "the file {file} may still contain {old}; search with: grep -n -F {old} {file}"
            ));
        }
        warnings.extend(self.command());
        warnings
    }

    fn sends_as(&self, now: Time) -> Option<String> {
        let (old, new) = (self.old.old_name.domain(), self.user.username.domain());
        if old == new || !self.senders.is_empty() {
            return None;
        }
        let until = self.old.until.filter(|_| self.old.works(now));
        let until = until.map_or_else(String::new, |at| {
            format!(" (from {old} only with the old name, until {at})")
        });
        Some(format!(
            "the user may now send from every address of {new}{until}; to allow both domains: smtpcred user set {} --sender {new} --sender {old}",
            self.user.username.in_shell()
        ))
    }

    fn moved(&self, path: &PathTemplate, flag: &str) -> Option<String> {
        let (old, new) = (path.of(&self.old.old_name), path.of(&self.user.username));
        if old == new {
            return None;
        }
        let (old, new) = (in_shell(&old), in_shell(&new));
        Some(format!(
            "the next password will be written to {new}; move the file with: mv {old} {new}; or keep the old path with: smtpcred user set {} {flag} {old}",
            self.user.username.in_shell()
        ))
    }

    fn command(&self) -> Option<String> {
        let command = self.delivery.command.as_ref()?;
        let (old, new) = (&self.old.old_name, &self.user.username);
        let names_it = command
            .words()
            .iter()
            .any(|word| word.contains(old.as_str()));
        Some(if names_it {
            format!(
                "the delivery command contains {old}; change it with: smtpcred user set {} --deliver …",
                new.in_shell()
            )
        } else {
            format!(
                "the delivery command now gets the name {new}; check that its destination accepts that name: {command}"
            )
        })
    }
}
