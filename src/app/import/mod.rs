//! Taking in the users of another system. All rows are read and checked before
//! the store is locked, and wait beside it; then all are written in one
//! transaction, or none.

mod check;
pub(super) mod csv;
pub(super) mod fields;
pub(super) mod format;
pub(super) mod json;
mod lines;
mod merge;
mod sasldb;
mod sql;
mod sql_origin;
mod sql_tokens;
mod sql_values;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::num::NonZero;
use std::thread;

use super::App;
use crate::error::{Error, Result};
use crate::model::hash::{Accepted, Cost, Hash, Hasher};
use crate::model::name::{DomainName, Username};
use crate::model::password::{Form, KeyId, Password, Random};
use crate::model::roster::Secret;
use crate::model::time::Time;
use check::{Checked, Rules, check};

use format::Read1;
pub use format::{Format, Problem};

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct ImportOptions {
    pub format: Format,
    /// Of names that have none.
    pub domain: Option<DomainName>,
    pub add_domain: bool,
    pub update: bool,
    /// Users that are not in the file are deleted.
    pub prune: bool,
    pub dry_run: bool,
    /// Bad rows are told of, and the others taken.
    pub skip_bad: bool,
    /// Users without a password get one.
    pub generate: bool,
}

/// What becomes of a user.
#[derive(Debug)]
pub struct Change<'a> {
    pub username: &'a Username,
    pub kind: ChangeKind,
    /// In which columns.
    pub columns: &'a [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Create,
    Update,
    Delete,
}

/// Who is told of it.
pub trait Importer {
    /// The row stands beside it as far as it is known.
    fn problem(&mut self, problem: &Problem, text: &str) -> Result<()>;
    /// Of a dry run.
    fn change(&mut self, change: &Change) -> Result<()>;
    /// Before so many users are deleted.
    fn confirm(&mut self, deleted: u64) -> Result<()>;
    /// Takes a generated password to its place.
    fn deliver(&mut self, username: &Username, key: &KeyId, password: &Password) -> Result<()>;
    /// All of them have to outlast a power cut, before their users are there.
    fn delivered(&mut self) -> Result<()>;
}

#[derive(Debug, Default)]
pub struct Imported {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    /// Rows, each of which may have several problems.
    pub bad: u64,
    /// Passwords that were not hashed in the file.
    pub plain: u64,
    pub generated: u64,
    /// Of the rows that are good.
    pub schemes: BTreeMap<&'static str, u64>,
}

/// Rows that are looked at together: so many hash at once.
const TOGETHER: usize = 256;

impl App {
    pub fn import(
        &mut self,
        input: &mut dyn BufRead,
        options: &ImportOptions,
        told: &mut dyn Importer,
    ) -> Result<Imported> {
        let now = self.now().plausible()?;
        let settings = self.store.settings()?;
        self.store.begin_staging()?;
        let mut staging = Staging {
            app: self,
            options,
            told,
            accepted: settings.accept_hash,
            cost: settings.argon2,
            now,
            waiting: Vec::new(),
            empty: true,
            counts: Imported::default(),
        };
        options.format.read(input, &mut |read| staging.take(read))?;
        staging.flush()?;
        if options.prune && staging.empty {
            return Err(Error::Usage(
                "the file has no user, and --prune would delete all that are there: if they are to go, `smtpcred domain remove DOMAIN --with-users` says so".into(),
            ));
        }
        let mut counts = staging.counts;
        self.store.end_staging()?;
        if options.prune && !options.dry_run && counts.bad == 0 {
            let deleted = self.not_in_file()?;
            if deleted > 0 {
                told.confirm(deleted)?;
            }
        }
        told.delivered()?;
        self.merge(options, told, &mut counts)?;
        Ok(counts)
    }

    fn not_in_file(&mut self) -> Result<u64> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let found = self.store.not_staged(&after, 1000)?;
            let Some(last) = found.last() else {
                return Ok(count);
            };
            after = last.to_string();
            count += found.len() as u64;
        }
    }
}

struct Staging<'a> {
    app: &'a mut App,
    options: &'a ImportOptions,
    told: &'a mut dyn Importer,
    accepted: Accepted,
    cost: Cost,
    now: Time,
    waiting: Vec<Checked>,
    /// No row was read, good or bad.
    empty: bool,
    counts: Imported,
}

/// What is to be hashed for one of those that wait.
struct Task<'a> {
    at: usize,
    password: &'a [u8],
    /// What the user has already: the same password stays as it is.
    has: Vec<Hash>,
}

impl Staging<'_> {
    fn take(&mut self, read: Read1) -> Result<()> {
        self.empty = false;
        match read {
            Read1::Bad(problem, text) => {
                self.counts.bad += 1;
                self.told.problem(&problem, &text)
            }
            Read1::Row(raw) => {
                let rules = Rules {
                    format: self.options.format,
                    domain: self.options.domain.as_ref(),
                    accepted: &self.accepted,
                    now: self.now,
                };
                match check(&raw, &rules) {
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
                            self.told.problem(&problem, &raw.text)?;
                        }
                        Ok(())
                    }
                }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.generate(&mut waiting)?;
        if waiting.iter().any(|checked| checked.plain.is_some()) {
            self.hash(&mut waiting)?;
        }
        for checked in waiting {
            if let Some(scheme) = checked.scheme {
                *self.counts.schemes.entry(scheme.name()).or_default() += 1;
            }
            let record = serde_json::to_string(&checked.entry)
                .map_err(|e| Error::System(format!("a user cannot be written: {e}")))?;
            self.app
                .store
                .stage(&checked.username, checked.row, &record)?;
        }
        Ok(())
    }

    /// A password for those who have none and are not there yet.
    fn generate(&mut self, waiting: &mut [Checked]) -> Result<()> {
        if !self.options.generate || self.options.dry_run {
            return Ok(());
        }
        let random = self.app.world.random;
        for checked in waiting {
            if checked.entry.password.is_some() || self.app.store.user(&checked.username)?.is_some()
            {
                continue;
            }
            let password = Password::generate(Form::Full, random)?;
            let hash = self
                .app
                .hasher
                .hash(password.expose().as_bytes(), self.cost, random)?;
            let key = password.key_id(random)?;
            checked.entry.password = Some(Secret {
                key: Some(key.as_str().to_owned()),
                ..Secret::made(&hash)
            });
            self.told.deliver(&checked.username, &key, &password)?;
            self.counts.generated += 1;
        }
        Ok(())
    }

    /// On all processors.
    fn hash(&mut self, waiting: &mut [Checked]) -> Result<()> {
        let mut tasks = Vec::new();
        for (at, checked) in waiting.iter().enumerate() {
            let Some(plain) = &checked.plain else {
                continue;
            };
            self.counts.plain += 1;
            let stored = self.app.store.hashes(&checked.username)?;
            tasks.push(Task {
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
            if let Some(secret) = &mut waiting[at].entry.password {
                secret.hash = hash;
            }
        }
        Ok(())
    }
}

fn hash_all(tasks: &[Task], cost: Cost, random: Random) -> Result<Vec<(usize, String)>> {
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

impl ChangeKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}
