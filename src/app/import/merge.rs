//! Compares the staged rows with the store: all of them before anything is changed. Then
//! writes them in batches, between which others can write; each batch compares again.

use std::time::{Duration, Instant};

use super::compare::{RowVerdict, compare};
use super::request::{ImportChange, ImportChangeKind, ImportCounts, ImportFrontend, ImportOptions};
use crate::app::App;
use crate::app::capacity::DomainCapacity;
use crate::app::pause::let_others;
use crate::error::{Error, Result};
use crate::formats::row::RowProblem;
use crate::model::name::Username;
use crate::model::old_name::OldName;
use crate::model::password::{PasswordId, Random};
use crate::model::time::Time;
use crate::model::transfer::{StoredUser, TransferPassword, TransferRecord};
use crate::store::{DomainChange, ImportedUser, Staged, Staging, Store};

/// How many rows are compared at once.
const TOGETHER: u32 = 500;
/// The fewest and the most rows of a batch. The fewest take some round trips to a server,
/// and a smaller batch would take as many.
const BATCH_ROWS: [u32; 2] = [250, 2000];
/// How long a batch should take.
const BATCH_TIME: Duration = Duration::from_millis(80);

/// A row of the file, and its user in the store.
struct MatchedRow {
    id: i64,
    username: Username,
    row_number: i64,
    record: TransferRecord,
    stored: Option<StoredUser>,
    /// Set if the name is an old one of another user.
    old_name: Option<OldName>,
}

/// Looks up the users of rows together.
fn match_rows(
    store: &mut Store,
    capacity: &mut DomainCapacity,
    staged: Vec<Staged>,
) -> Result<Vec<MatchedRow>> {
    let names: Vec<_> = staged.iter().map(|row| &row.username).collect();
    let stored = store.stored_users_named(&names)?;
    let old_names = store.old_names_named(&names)?;
    let new = staged
        .iter()
        .zip(&stored)
        .filter(|(_, stored)| stored.is_none());
    let domains: Vec<_> = new.map(|(row, _)| row.username.domain()).collect();
    capacity.look_up(store, domains.iter())?;
    let rows = staged.into_iter().zip(stored).zip(old_names);
    rows.map(|((row, stored), old_name)| MatchedRow::of(row, stored, old_name))
        .collect()
}

impl MatchedRow {
    fn of(row: Staged, stored: Option<StoredUser>, old_name: Option<OldName>) -> Result<Self> {
        let record = serde_json::from_str(&row.record)
            .map_err(|e| Error::System(format!("a user cannot be read back: {e}")))?;
        Ok(Self {
            id: row.id,
            username: row.username,
            row_number: row.place,
            record,
            stored,
            old_name,
        })
    }
}

/// Checks all rows, and counts the changes.
pub struct Review<'a> {
    pub options: &'a ImportOptions,
    pub staging: &'a Staging,
    pub frontend: &'a mut dyn ImportFrontend,
    pub counts: &'a mut ImportCounts,
    pub now: Time,
}

impl Review<'_> {
    /// Reports all bad rows, and keeps the rows to write staged. `capacity` has the domains
    /// as they will be.
    pub fn all(&mut self, store: &mut Store, mut capacity: DomainCapacity) -> Result<()> {
        let mut after = (String::new(), 0);
        let mut last: Option<(Username, i64)> = None;
        loop {
            let staged = self.staging.next((&after.0, after.1), TOGETHER)?;
            let Some(end) = staged.last() else {
                return Ok(());
            };
            after = (end.username.to_string(), end.id);
            for row in match_rows(store, &mut capacity, staged)? {
                let verdict = match &last {
                    Some((name, first)) if *name == row.username => {
                        RowVerdict::bad("username", format!("is in row {first}, too"))
                    }
                    _ => compare(
                        &row.username,
                        &row.record,
                        (row.stored.as_ref(), row.old_name.as_ref()),
                        &mut capacity,
                        self.options,
                    )?,
                };
                self.count(&row, verdict)?;
                if last.as_ref().is_none_or(|(name, _)| *name != row.username) {
                    last = Some((row.username, row.row_number));
                }
            }
            capacity.forget_unlimited();
        }
    }

    fn count(&mut self, row: &MatchedRow, verdict: RowVerdict) -> Result<()> {
        let (kind, columns) = match verdict {
            RowVerdict::Create { .. } => (ImportChangeKind::Create, Vec::new()),
            RowVerdict::Update(columns) => (ImportChangeKind::Update, columns),
            RowVerdict::Unchanged => {
                self.counts.unchanged += 1;
                return self.staging.leave_out(row.id);
            }
            RowVerdict::Bad(problems) => {
                self.counts.bad += 1;
                report(self.frontend, row, &problems)?;
                return self.staging.leave_out(row.id);
            }
        };
        self.counts.add(kind, &row.record, &columns, self.now);
        if !self.options.dry_run {
            return Ok(());
        }
        self.frontend.change(&ImportChange {
            username: &row.username,
            kind,
            columns: &columns,
        })
    }
}

/// Writes the staged rows.
pub struct Merge<'a> {
    pub options: &'a ImportOptions,
    pub staging: &'a Staging,
    pub frontend: &'a mut dyn ImportFrontend,
    pub counts: &'a mut ImportCounts,
    pub random: Random,
    /// How many rows there are to write.
    pub all: u64,
    /// How many of them are written.
    pub done: u64,
    /// When the last batch began.
    pub began: Option<Instant>,
}

impl Merge<'_> {
    /// Deletes users that are not in the file first: new ones may need their places.
    pub fn all(mut self, app: &mut App) -> Result<()> {
        let outcome = self.delete(app).and_then(|()| self.merge(app));
        match outcome {
            Err(cause) if self.done > 0 => Err(Error::PartlyDone {
                what: "imported",
                done: self.done,
                left: self.all.saturating_sub(self.done),
                cause: Box::new(cause),
            }),
            outcome => outcome,
        }
    }

    fn delete(&mut self, app: &mut App) -> Result<()> {
        let (mut after, mut most) = (String::new(), BATCH_ROWS[0]);
        loop {
            let to_delete = self.staging.next_leaving(&after, most)?;
            let Some((last, _)) = to_delete.last() else {
                return Ok(());
            };
            after = last.to_string();
            self.go_on()?;
            let began = self.begin();
            let deleted = app.delete_users(&to_delete)?;
            self.counts.deleted += deleted;
            self.done += to_delete.len() as u64;
            most = paced(most, began);
        }
    }

    fn merge(&mut self, app: &mut App) -> Result<()> {
        let (mut after, mut most) = ((String::new(), 0), BATCH_ROWS[0]);
        // How many rows to write singly, because the store refuses one of them.
        let mut singly = 0;
        loop {
            let limit = if singly > 0 { 1 } else { most };
            let staged = self.staging.next((&after.0, after.1), limit)?;
            let Some(last) = staged.last() else {
                return Ok(());
            };
            let end = (last.username.to_string(), last.id);
            self.go_on()?;
            let (began, rows) = (self.begin(), staged.len() as u64);
            match self.merge_batch(app, staged) {
                Ok(written) => {
                    self.counts.created += written.created;
                    self.counts.updated += written.updated;
                    self.counts.unchanged += written.unchanged;
                    self.counts.expired += written.expired;
                    self.done += rows;
                }
                Err(Error::StoreRefused { .. }) if rows > 1 => {
                    singly = rows;
                    continue;
                }
                Err(Error::StoreRefused { reason, .. }) => self.refused(&after, &reason)?,
                Err(error) => return Err(error),
            }
            after = end;
            if singly == 0 {
                most = paced(most, began);
            }
            singly = singly.saturating_sub(1);
        }
    }

    /// Reports that the store refused the next row.
    fn refused(&mut self, after: &(String, i64), reason: &str) -> Result<()> {
        let verdict = format!("is refused by the store: {reason}");
        for row in self.staging.next((&after.0, after.1), 1)? {
            let row = MatchedRow::of(row, None, None)?;
            report(self.frontend, &row, &[("username", verdict.clone())])?;
        }
        self.counts.bad += 1;
        if self.options.skip_bad {
            return Ok(());
        }
        Err(Error::BadRows {
            rows: 1,
            can_skip: true,
        })
    }

    /// Lets others write before the next batch.
    fn begin(&mut self) -> Instant {
        if let Some(began) = self.began {
            let_others(began);
        }
        *self.began.insert(Instant::now())
    }

    fn go_on(&self) -> Result<()> {
        if self.frontend.is_stopped() {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    /// Writes a batch. Changes by others may have made a row bad since it was checked.
    fn merge_batch(&mut self, app: &mut App, staged: Vec<Staged>) -> Result<ImportCounts> {
        let now = app.now();
        let mut tx = app.begin()?;
        let (mut capacity, mut written, mut bad) =
            (DomainCapacity::default(), ImportCounts::default(), 0);
        for row in match_rows(tx.store(), &mut capacity, staged)? {
            let stored = row.stored.as_ref();
            let verdict = compare(
                &row.username,
                &row.record,
                (stored, row.old_name.as_ref()),
                &mut capacity,
                self.options,
            )?;
            match (verdict, stored) {
                (RowVerdict::Create { new_domain }, _) => {
                    let domain = row.username.domain();
                    if new_domain {
                        tx.add_domain(&domain, &DomainChange::default())?;
                    }
                    tx.add_imported(&self.imported(&row)?)?;
                    written.add(ImportChangeKind::Create, &row.record, &[], now);
                }
                (RowVerdict::Update(columns), Some(stored)) => {
                    tx.change_imported(&self.imported(&row)?, stored, &columns)?;
                    written.add(ImportChangeKind::Update, &row.record, &columns, now);
                }
                (RowVerdict::Unchanged | RowVerdict::Update(_), _) => written.unchanged += 1,
                (RowVerdict::Bad(problems), _) => {
                    bad += 1;
                    report(self.frontend, &row, &problems)?;
                }
            }
        }
        self.counts.bad += bad;
        if bad > 0 && !self.options.skip_bad {
            return Err(Error::BadRows {
                rows: bad,
                can_skip: true,
            });
        }
        if written.created + written.updated > 0 {
            tx.commit()?;
        }
        Ok(written)
    }

    fn imported<'b>(&self, row: &'b MatchedRow) -> Result<ImportedUser<'b>> {
        let password_id = |secret: Option<&TransferPassword>| match secret
            .and_then(|secret| secret.password_id.clone())
        {
            Some(password_id) => Ok(PasswordId::stored(password_id)),
            None => PasswordId::random(self.random),
        };
        let record = &row.record;
        let first = password_id(record.password.as_ref())?;
        // Few users have a second password, and random numbers take time.
        let second = match &record.old {
            Some(old) => password_id(Some(old))?,
            None => first.clone(),
        };
        Ok(ImportedUser {
            username: &row.username,
            record,
            password_ids: [first, second],
            from: self.options.format.name(),
        })
    }
}

/// Returns how many rows the next batch has.
fn paced(rows: u32, began: Instant) -> u32 {
    let took = began.elapsed();
    let next = match took {
        took if took > BATCH_TIME => rows / 2,
        took if took < BATCH_TIME / 2 => rows * 2,
        _ => rows,
    };
    next.clamp(BATCH_ROWS[0], BATCH_ROWS[1])
}

fn report(
    frontend: &mut dyn ImportFrontend,
    row: &MatchedRow,
    problems: &[(&str, String)],
) -> Result<()> {
    let text = row_text(&row.username, &row.record);
    for (column, reason) in problems {
        frontend.problem(
            &RowProblem::new(row.row_number, column, reason.clone()),
            &text,
        )?;
    }
    Ok(())
}

impl ImportCounts {
    fn add(
        &mut self,
        kind: ImportChangeKind,
        record: &TransferRecord,
        columns: &[&str],
        now: Time,
    ) {
        // An expiry in the past is no error here: our own export has expired users, and a
        // user that expired in another system must stop here too.
        let at = record.expires_at.filter(|at| *at != 0);
        let expired = at.is_some_and(|at| at <= now.epoch());
        match kind {
            ImportChangeKind::Create => {
                self.created += 1;
                self.expired += u64::from(expired);
            }
            ImportChangeKind::Update => {
                self.updated += 1;
                self.expired += u64::from(expired && columns.contains(&"expires_at"));
            }
            ImportChangeKind::Delete => self.deleted += 1,
        }
    }
}

/// Returns the row as `--from json` reads it.
pub fn row_text(username: &Username, record: &TransferRecord) -> String {
    let mut object = serde_json::Map::new();
    object.insert("username".into(), username.as_str().into());
    let label = record.label.as_ref().filter(|label| !label.is_empty());
    if let Some(label) = label {
        object.insert("label".into(), label.as_str().into());
    }
    if let Some(secret) = &record.password {
        object.insert("hash".into(), secret.hash.as_str().into());
    }
    serde_json::Value::Object(object).to_string()
}
