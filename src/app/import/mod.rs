//! Imports the users of another system. All rows are read, staged, checked and compared
//! with the store before it is changed; then they are written in batches. If a run ends
//! early, the next one finds its rows unchanged.

mod check;
mod compare;
mod merge;
mod prune;
mod request;
mod stage;

use std::collections::BTreeMap;
use std::io::BufRead;

use self::merge::{Merge, Review};
use self::prune::PruneSet;
use self::stage::Stager;
use super::App;
use super::capacity::DomainCapacity;
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::Staging;

pub use self::request::{
    ImportChange, ImportChangeKind, ImportCounts, ImportFrontend, ImportOptions,
};
pub use super::columns::OF_IMPORT;
pub use crate::formats::format::ImportFormat;
pub use crate::formats::guess::guess;
pub use crate::formats::row::RowProblem;

/// After this many new users, statements may need new plans.
const MUCH: u64 = 10_000;

impl App {
    /// Imports a file, or reports what would change in a dry run. Fails before any change
    /// if a row is bad, unless bad rows are skipped.
    pub fn import(
        &mut self,
        input: &mut dyn BufRead,
        options: &ImportOptions,
        frontend: &mut dyn ImportFrontend,
    ) -> Result<ImportCounts> {
        let now = self.now().plausible()?;
        let settings = self.store.settings()?;
        let staging = Staging::open()?;
        let mut stager = Stager {
            app: self,
            options,
            frontend,
            staging: &staging,
            accepted: settings.accept_hash,
            cost: settings.argon2,
            now,
            waiting: Vec::new(),
            empty: true,
            counts: ImportCounts::default(),
        };
        options
            .format
            .read(OF_IMPORT, input, &mut |row| stager.take(row))?;
        stager.flush()?;
        if options.prune && stager.empty {
            return Err(Error::Usage(
                "the file has no users, so --prune would delete all users; to delete the users of a domain, run: smtpcred domain remove DOMAIN --with-users".into(),
            ));
        }
        let mut counts = stager.counts;
        staging.sort()?;
        self.compare(&staging, options, frontend, &mut counts)?;
        if counts.bad > 0 && !options.skip_bad {
            return Err(Error::BadRows {
                rows: counts.bad,
                can_skip: true,
            });
        }
        if options.dry_run {
            return Ok(counts);
        }
        if let Some(store) = frontend.create_store()? {
            self.store = store;
        }
        let mut all = counts.created + counts.updated;
        if options.prune {
            all += self.confirm_prune(&staging, frontend)?;
        }
        frontend.delivered()?;
        (counts.created, counts.updated, counts.expired) = (0, 0, 0);
        let merge = Merge {
            options,
            staging: &staging,
            frontend,
            counts: &mut counts,
            random: self.world.random,
            all,
            done: 0,
            began: None,
        };
        merge.all(self)?;
        if all >= MUCH {
            // If it fails, `store maintain` does it later.
            let _ = self.store.analyze();
        }
        Ok(counts)
    }

    /// Compares the rows with the store.
    fn compare(
        &mut self,
        staging: &Staging,
        options: &ImportOptions,
        frontend: &mut dyn ImportFrontend,
        counts: &mut ImportCounts,
    ) -> Result<()> {
        let now = self.now();
        let mut to_delete = BTreeMap::new();
        if options.prune {
            self.not_in_file(staging, &mut |username, _| {
                *to_delete.entry(username.domain()).or_default() += 1;
                if !options.dry_run {
                    return Ok(());
                }
                counts.deleted += 1;
                frontend.change(&ImportChange {
                    username,
                    kind: ImportChangeKind::Delete,
                    columns: &[],
                })
            })?;
        }
        let mut review = Review {
            options,
            staging,
            frontend,
            counts,
            now,
        };
        review.all(&mut self.store, DomainCapacity::without(to_delete))
    }

    fn not_in_file(
        &mut self,
        staging: &Staging,
        each: &mut dyn FnMut(&Username, Time) -> Result<()>,
    ) -> Result<()> {
        let mut after = String::new();
        loop {
            let found = self.store.created_after(&after, 1000)?;
            let Some((last, _)) = found.last() else {
                return Ok(());
            };
            after = last.to_string();
            for (username, created_at) in &found {
                if !staging.has(username)? {
                    each(username, *created_at)?;
                }
            }
        }
    }

    /// Stages the users to delete, so that no others are. Returns how many.
    fn confirm_prune(
        &mut self,
        staging: &Staging,
        frontend: &mut dyn ImportFrontend,
    ) -> Result<u64> {
        let mut seen = PruneSet::default();
        self.not_in_file(staging, &mut |username, created_at| {
            seen.add(username, created_at);
            Ok(())
        })?;
        if seen.count() == 0 {
            return Ok(0);
        }
        let asked = frontend.confirm(seen.count())?;
        let mut to_delete = PruneSet::default();
        self.not_in_file(staging, &mut |username, created_at| {
            to_delete.add(username, created_at);
            staging.add_leaving(username, created_at)
        })?;
        if asked {
            to_delete.is_as_seen(&seen)?;
        }
        Ok(to_delete.count())
    }
}
