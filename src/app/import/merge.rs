//! What waits, written beside what the store has: in one transaction.

use std::collections::{HashMap, HashSet};

use super::{Change, ChangeKind, ImportOptions, Imported, Importer, Problem};
use crate::app::App;
use crate::app::users::limit_reached;
use crate::error::{Error, Result};
use crate::model::name::{DomainName, Username};
use crate::model::password::{KeyId, Random};
use crate::model::roster::{Entry, Kept};
use crate::store::{Arrival, DomainChange, Tx};

/// Rows that are compared together.
const TOGETHER: u32 = 500;
/// Domains that are known to be there.
const KNOWN: usize = 4096;

struct Merge<'a> {
    options: &'a ImportOptions,
    told: &'a mut dyn Importer,
    counts: &'a mut Imported,
    random: Random,
    domains: HashSet<String>,
    /// The last name, and its row.
    last: Option<(Username, i64)>,
}

impl App {
    pub(super) fn merge(
        &mut self,
        options: &ImportOptions,
        told: &mut dyn Importer,
        counts: &mut Imported,
    ) -> Result<()> {
        let random = self.world.random;
        let mut tx = self.begin()?;
        let mut merge = Merge {
            options,
            told,
            counts,
            random,
            domains: HashSet::new(),
            last: None,
        };
        if options.prune {
            merge.prune(&mut tx)?;
        }
        merge.all(&mut tx)?;
        let bad = merge.counts.bad;
        if bad > 0 && !options.skip_bad {
            return Err(Error::BadRows(bad));
        }
        if options.dry_run {
            return Ok(());
        }
        let changed = counts.created + counts.updated + counts.deleted > 0;
        if changed { tx.commit() } else { Ok(()) }
    }
}

impl Merge<'_> {
    fn prune(&mut self, tx: &mut Tx) -> Result<()> {
        let mut after = String::new();
        loop {
            let found = tx.store().not_staged(&after, TOGETHER)?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = last.to_string();
            for username in &found {
                self.changes(username, ChangeKind::Delete, &[])?;
                tx.delete_user(username)?;
                self.counts.deleted += 1;
            }
        }
    }

    fn all(&mut self, tx: &mut Tx) -> Result<()> {
        let mut after = (String::new(), i64::MIN);
        loop {
            let mut rows = Vec::new();
            tx.store().staged(
                (&after.0, after.1),
                TOGETHER,
                &mut |username, place, record| {
                    rows.push((username, place, record));
                    Ok(())
                },
            )?;
            let (Some((first, ..)), Some((last, place, _))) = (rows.first(), rows.last()) else {
                return Ok(());
            };
            let mut kept: HashMap<String, Kept> = HashMap::new();
            tx.store()
                .kept_and_staged(first.as_str(), last.as_str(), &mut |user| {
                    kept.insert(user.username.to_string(), user);
                    Ok(())
                })?;
            after = (last.to_string(), *place);
            for (username, row, record) in rows {
                self.row(tx, username, row, &record, &kept)?;
            }
        }
    }

    fn row(
        &mut self,
        tx: &mut Tx,
        username: Username,
        row: i64,
        record: &str,
        kept: &HashMap<String, Kept>,
    ) -> Result<()> {
        let entry: Entry = serde_json::from_str(record)
            .map_err(|e| Error::System(format!("a user cannot be read back: {e}")))?;
        if let Some((last, first)) = &self.last
            && *last == username
        {
            let reason = format!("is in row {first}, too");
            return self.bad(row, &username, &entry, &[("username", reason)]);
        }
        match kept.get(username.as_str()) {
            Some(kept) => self.known(tx, &username, row, &entry, kept)?,
            None => self.unknown(tx, &username, row, &entry)?,
        }
        self.last = Some((username, row));
        Ok(())
    }

    fn known(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        row: i64,
        entry: &Entry,
        kept: &Kept,
    ) -> Result<()> {
        let columns = entry.differences(kept);
        if columns.is_empty() {
            self.counts.unchanged += 1;
            return Ok(());
        }
        if !self.options.update {
            let reason = "is not what the store has: --update sets it";
            let problems: Vec<_> = columns.iter().map(|c| (*c, reason.to_owned())).collect();
            return self.bad(row, username, entry, &problems);
        }
        self.changes(username, ChangeKind::Update, &columns)?;
        let arrival = self.arrival(username, entry)?;
        tx.change_by_arrival(&arrival, kept, &columns)?;
        self.counts.updated += 1;
        Ok(())
    }

    fn unknown(&mut self, tx: &mut Tx, username: &Username, row: i64, entry: &Entry) -> Result<()> {
        // In a dry run nothing is generated, and would be.
        let will_have = entry.password.is_some() || self.options.generate && self.options.dry_run;
        if !will_have {
            let reason =
                "is missing, and the user is new: --output-dir makes a new password".to_owned();
            return self.bad(row, username, entry, &[("hash", reason)]);
        }
        let domain = username.domain();
        if let Err(error) = self.domain(tx, &domain) {
            let reason = match error {
                Error::DomainNotFound(_) => {
                    "has a domain that is not there: --add-domain adds it".into()
                }
                Error::UserLimit { limit, .. } => {
                    format!("has a domain with its limit of {limit} users")
                }
                error => return Err(error),
            };
            return self.bad(row, username, entry, &[("username", reason)]);
        }
        self.changes(username, ChangeKind::Create, &[])?;
        let arrival = self.arrival(username, entry)?;
        tx.add_arrival(&arrival)?;
        self.counts.created += 1;
        Ok(())
    }

    fn domain(&mut self, tx: &mut Tx, domain: &DomainName) -> Result<()> {
        if self.domains.contains(domain.as_str()) {
            return Ok(());
        }
        let found = match tx.store().domain(domain)? {
            Some(found) => found,
            None if self.options.add_domain => {
                tx.add_domain(domain, &DomainChange::default())?;
                return self.domain(tx, domain);
            }
            None => return Err(Error::DomainNotFound(domain.to_string())),
        };
        if found.max_users.is_some() {
            return limit_reached(tx.store(), &found);
        }
        if self.domains.len() >= KNOWN {
            self.domains.clear();
        }
        self.domains.insert(domain.to_string());
        Ok(())
    }

    fn arrival<'b>(&self, username: &'b Username, entry: &'b Entry) -> Result<Arrival<'b>> {
        let key = |secret: Option<&crate::model::roster::Secret>| match secret
            .and_then(|secret| secret.key.clone())
        {
            Some(key) => Ok(KeyId::stored(key)),
            None => KeyId::random(self.random),
        };
        let first = key(entry.password.as_ref())?;
        // Few have a second one, and random numbers take time.
        let second = match &entry.old {
            Some(old) => key(Some(old))?,
            None => first.clone(),
        };
        Ok(Arrival {
            username,
            entry,
            keys: [first, second],
            from: self.options.format.name(),
        })
    }

    fn changes(
        &mut self,
        username: &Username,
        kind: ChangeKind,
        columns: &[&'static str],
    ) -> Result<()> {
        if !self.options.dry_run {
            return Ok(());
        }
        self.told.change(&Change {
            username,
            kind,
            columns,
        })
    }

    fn bad(
        &mut self,
        row: i64,
        username: &Username,
        entry: &Entry,
        problems: &[(&str, String)],
    ) -> Result<()> {
        self.counts.bad += 1;
        let text = aside(username, entry);
        for (column, reason) in problems {
            self.told
                .problem(&Problem::new(row, column, reason.clone()), &text)?;
        }
        Ok(())
    }
}

/// As `--from json` takes it.
fn aside(username: &Username, entry: &Entry) -> String {
    let mut object = serde_json::Map::new();
    object.insert("username".into(), username.as_str().into());
    let label = entry.label.as_ref().filter(|label| !label.is_empty());
    if let Some(label) = label {
        object.insert("label".into(), label.as_str().into());
    }
    if let Some(secret) = &entry.password {
        object.insert("hash".into(), secret.hash.as_str().into());
    }
    serde_json::Value::Object(object).to_string()
}
