//! Stages the rows of a file: checks them, generates missing passwords, and hashes.

use std::num::NonZero;
use std::thread;

use super::check::{CheckRules, CheckedRow, check};
use super::merge::row_text;
use super::request::{ImportCounts, ImportFrontend, ImportOptions};
use crate::app::App;
use crate::error::{Error, Result};
use crate::formats::row::{ParsedRow, RowProblem};
use crate::model::hash::{AcceptedSchemes, Cost, Hash, Hasher};
use crate::model::password::{Form, Password, Random};
use crate::model::time::Time;
use crate::model::transfer::TransferPassword;
use crate::store::Staging;

/// Rows in one batch; their passwords are hashed in parallel.
const TOGETHER: usize = 256;

pub struct Stager<'a> {
    pub app: &'a mut App,
    pub options: &'a ImportOptions,
    pub frontend: &'a mut dyn ImportFrontend,
    pub staging: &'a Staging,
    pub accepted: AcceptedSchemes,
    pub cost: Cost,
    pub now: Time,
    pub waiting: Vec<CheckedRow>,
    /// Whether no row was read yet, good or bad.
    pub empty: bool,
    pub counts: ImportCounts,
}

/// A password to hash.
struct RowHashTask<'a> {
    at: usize,
    password: &'a [u8],
    /// The user's stored hashes: one of the same password is kept.
    has: Vec<Hash>,
}

impl Stager<'_> {
    pub fn take(&mut self, read: ParsedRow) -> Result<()> {
        self.empty = false;
        match read {
            ParsedRow::Bad(problem, text) => {
                self.counts.bad += 1;
                self.frontend.problem(&problem, &text)
            }
            ParsedRow::Good(row) => {
                let rules = CheckRules {
                    format: self.options.format,
                    domain: self.options.domain.as_ref(),
                    accepted: &self.accepted,
                    now: self.now,
                };
                match check(&row, &rules) {
                    Ok(checked) => {
                        self.waiting.push(checked);
                        if self.waiting.len() >= TOGETHER {
                            self.flush()
                        } else {
                            Ok(())
                        }
                    }
                    Err(problems) => {
                        self.counts.bad += 1;
                        for problem in problems {
                            self.frontend.problem(&problem, &row.text)?;
                        }
                        Ok(())
                    }
                }
            }
        }
    }

    pub fn flush(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        if self.options.generate {
            self.refuse_undeliverable(&mut waiting)?;
        }
        if waiting.iter().any(|checked| self.needs_password(checked)) {
            self.make_passwords(&mut waiting)?;
        }
        if waiting.iter().any(|checked| checked.plain.is_some()) {
            self.hash(&mut waiting)?;
        }
        for checked in waiting {
            if let Some(scheme) = checked.scheme {
                *self.counts.schemes.entry(scheme.name()).or_default() += 1;
            }
            let record = serde_json::to_string(&checked.record)
                .map_err(|e| Error::System(format!("a user cannot be written: {e}")))?;
            self.staging.add(&checked.username, checked.row, &record)?;
        }
        Ok(())
    }

    fn needs_password(&self, checked: &CheckedRow) -> bool {
        let may = checked.never_had_one || self.options.generate && !self.options.dry_run;
        may && checked.record.password.is_none()
    }

    /// Reports new users whose passwords could not be delivered, and leaves them out.
    fn refuse_undeliverable(&mut self, waiting: &mut Vec<CheckedRow>) -> Result<()> {
        let names: Vec<_> = waiting.iter().map(|checked| &checked.username).collect();
        let there = self.app.store.users_named(&names)?;
        let mut there = there.iter().map(Option::is_some);
        let mut problems = Vec::new();
        waiting.retain(|checked| {
            let new = !there.next().unwrap_or(false);
            let needs = new && !checked.never_had_one && checked.record.password.is_none();
            let Some(reason) = self
                .frontend
                .refuses(&checked.username)
                .filter(|_| needs && checked.plain.is_none())
            else {
                return true;
            };
            problems.push((
                checked.row,
                row_text(&checked.username, &checked.record),
                reason,
            ));
            false
        });
        for (row, text, reason) in problems {
            self.counts.bad += 1;
            self.frontend
                .problem(&RowProblem::new(row, "username", reason), &text)?;
        }
        Ok(())
    }

    /// Generates passwords for new users that have none.
    fn make_passwords(&mut self, waiting: &mut [CheckedRow]) -> Result<()> {
        let names: Vec<_> = waiting.iter().map(|checked| &checked.username).collect();
        let there = self.app.store.users_named(&names)?;
        for (checked, there) in waiting.iter_mut().zip(there) {
            if there.is_some() || !self.needs_password(checked) {
                continue;
            }
            if checked.never_had_one {
                self.lock_out(checked)?;
            } else {
                self.generate(checked)?;
            }
        }
        Ok(())
    }

    fn generate(&mut self, checked: &mut CheckedRow) -> Result<()> {
        let random = self.app.world.random;
        let password = Password::generate(Form::Full, random)?;
        let hash = self
            .app
            .hasher
            .hash(password.expose().as_bytes(), self.cost, random)?;
        let password_id = password.password_id(random)?;
        checked.record.password = Some(TransferPassword {
            password_id: Some(password_id.as_str().to_owned()),
            new: true,
            generated: true,
            ..TransferPassword::made(&hash)
        });
        self.frontend
            .deliver(&checked.username, &password_id, &password)?;
        self.counts.generated += 1;
        Ok(())
    }

    /// A locked account that never had a password gets an unknown one: an admin can
    /// reset it and resume the user.
    fn lock_out(&mut self, checked: &mut CheckedRow) -> Result<()> {
        let random = self.app.world.random;
        let password = Password::generate(Form::Full, random)?;
        let password = password.expose().as_bytes();
        let hash = self.app.hasher.hash(password, self.cost, random)?;
        checked.record.password = Some(TransferPassword {
            generated: true,
            ..TransferPassword::made(&hash)
        });
        Ok(())
    }

    /// Hashes plain passwords on all processors.
    fn hash(&mut self, waiting: &mut [CheckedRow]) -> Result<()> {
        let mut tasks = Vec::new();
        let names: Vec<_> = waiting.iter().map(|checked| &checked.username).collect();
        let all_stored = self.app.store.hashes_of(&names)?;
        for (at, (checked, stored)) in waiting.iter().zip(all_stored).enumerate() {
            let Some(plain) = &checked.plain else {
                continue;
            };
            self.counts.plain += 1;
            tasks.push(RowHashTask {
                at,
                password: plain.as_bytes(),
                has: stored
                    .iter()
                    .filter_map(|stored| Hash::stored(&stored.hash))
                    .collect(),
            });
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = tasks.len().div_ceil(threads).max(1);
        let (cost, random) = (self.cost, self.app.world.random);
        let made = thread::scope(|scope| {
            let workers: Vec<_> = tasks
                .chunks(share)
                .map(|tasks| scope.spawn(move || hash_all(tasks, cost, random)))
                .collect();
            let mut made = Vec::new();
            for worker in workers {
                let done = worker
                    .join()
                    .map_err(|_| Error::System("a thread died".into()))?;
                made.extend(done?);
            }
            Ok::<_, Error>(made)
        })?;
        drop(tasks);
        for (at, hash) in made {
            if let Some(secret) = &mut waiting[at].record.password {
                secret.hash = hash;
            }
        }
        Ok(())
    }
}

fn hash_all(tasks: &[RowHashTask], cost: Cost, random: Random) -> Result<Vec<(usize, String)>> {
    let mut hasher = Hasher::default();
    let mut made = Vec::with_capacity(tasks.len());
    for task in tasks {
        let mut same = None;
        for hash in &task.has {
            if hasher.verify(task.password, hash)? {
                same = Some(hash.as_str().to_owned());
                break;
            }
        }
        let hash = match same {
            Some(same) => same,
            None => hasher
                .hash(task.password, cost, random)?
                .as_str()
                .to_owned(),
        };
        made.push((task.at, hash));
    }
    Ok(made)
}
