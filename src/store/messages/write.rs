//! Records what the follower reports.

use std::collections::HashMap;

use super::MessageStore;
use super::row::{self, kept, kept_key, kept_recipient, kept_reply};
use crate::error::Result;
use crate::model::followed_message::{
    FollowedMessage, MessageChange, MessageKey, RecipientOutcome, RefusedMessage, UnknownReason,
};
use crate::model::log_position::LogPosition;
use crate::model::log_time::LogTime;
use crate::model::message_rules::KeptRecipients;
use crate::model::name::Username;
use crate::store::engine::Arg;

/// What is recorded in one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageBatch<'a> {
    /// What changed, in the order in which it was reported.
    pub changes: &'a [MessageChange],
    /// What clients were refused.
    pub refused: &'a [RefusedMessage],
    /// How far the logs were read.
    pub positions: &'a [LogPosition],
    /// What is kept of recipients.
    pub recipients: KeptRecipients,
}

/// The numbers of the messages that a batch recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenMessages {
    /// Those that were not known.
    pub new: Vec<i64>,
    /// Those about which something is new.
    pub changed: Vec<i64>,
}

/// The last that a batch says about a message.
struct LastChange<'a> {
    key: MessageKey,
    message: Option<&'a FollowedMessage>,
    is_settled: bool,
}

impl LastChange<'_> {
    /// Returns whether a message is not from before the end of this one: a log that is read again
    /// takes nothing back.
    fn is_newer(&self, message: &FollowedMessage) -> bool {
        let settled = self.message.filter(|_| self.is_settled);
        match settled {
            Some(settled) => message.changed_at() > settled.changed_at(),
            None => !self.is_settled,
        }
    }
}

/// What is recorded already.
struct Existing {
    id: i64,
    is_settled: bool,
    changed_at: LogTime,
    recipients: Vec<RecipientOutcome>,
}

impl Existing {
    /// Returns whether a change says something that is not recorded. What is settled has its
    /// end, unless the log says more later; its recipients may be cut.
    fn is_behind(&self, change: &LastChange) -> bool {
        match change.message {
            Some(message) if self.is_settled => message.changed_at() > self.changed_at,
            Some(message) => message.changed_at() >= self.changed_at,
            None => !self.is_settled,
        }
    }
}

impl MessageStore {
    /// Records a batch, or nothing of it. Recording it again changes nothing, and a log from
    /// before what is recorded takes nothing back. Messages of names that no user can have
    /// are left out; which names are users, only a database can tell here.
    pub fn write(&mut self, batch: &MessageBatch) -> Result<WrittenMessages> {
        let changes = last_changes(batch.changes);
        self.change(|this| {
            let mut written = WrittenMessages::default();
            let existing = this.existing(&changes)?;
            let mut new = Vec::new();
            for (change, existing) in changes.iter().zip(existing) {
                match (existing, change.message) {
                    (Some(existing), _) => {
                        if this.update(&existing, change, batch.recipients)? {
                            written.changed.push(existing.id);
                        }
                    }
                    (None, Some(message)) => new.push((change, message)),
                    (None, None) => {}
                }
            }
            written.new = this.insert(&new, batch.recipients)?;
            this.insert_refused(batch.refused)?;
            this.set_positions(batch.positions)?;
            Ok(written)
        })
    }

    /// Reads what is recorded about these messages.
    fn existing(&mut self, changes: &[LastChange]) -> Result<Vec<Option<Existing>>> {
        const SQL: &str = "SELECT id, settled, changed_at FROM messages
            WHERE queue_id = $1 AND host = $2 AND at = $3";
        let keys: Vec<_> = changes
            .iter()
            .map(|change| row::key(&change.key).to_vec())
            .collect();
        let mut found: Vec<Option<Existing>> = changes.iter().map(|_| None).collect();
        self.engine.query_each(SQL, &keys, &mut |number, row| {
            found[number] = Some(Existing {
                id: row.int(0)?,
                is_settled: row.int(1)? != 0,
                changed_at: LogTime::from_micros(row.int(2)?),
                recipients: Vec::new(),
            });
            Ok(())
        })?;
        let mut open: Vec<&mut Existing> = found
            .iter_mut()
            .zip(changes)
            .filter_map(|(existing, change)| {
                let existing = existing.as_mut()?;
                existing.is_behind(change).then_some(existing)
            })
            .collect();
        let ids: Vec<_> = open.iter().map(|open| vec![open.id.into()]).collect();
        self.engine
            .query_each(row::RECIPIENTS, &ids, &mut |number, row| {
                open[number].recipients.push(row::recipient(row)?);
                Ok(())
            })?;
        Ok(found)
    }

    /// Brings a recorded message up to date. Returns whether that changed anything.
    fn update(
        &mut self,
        existing: &Existing,
        change: &LastChange,
        kept: KeptRecipients,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE messages SET sender = $2, message_id = $3, size = $4,
                later_ids = $5, open_ids = $6, settled = $7, changed_at = $8 WHERE id = $1";
        const SETTLE: &str = "UPDATE messages SET settled = 1, open_ids = '' WHERE id = $1";
        let id = existing.id;
        if !existing.is_behind(change) {
            return Ok(false);
        }
        let Some(message) = change.message else {
            let cut = cut(&existing.recipients, kept, change.is_settled);
            self.set_recipients(id, &existing.recipients, &cut)?;
            self.engine.execute_later(SETTLE, &[id.into()], None)?;
            return Ok(true);
        };
        let recipients = cut(&message.recipients, kept, change.is_settled);
        let is_changed = self.set_recipients(id, &existing.recipients, &recipients)?;
        let texts = MessageTexts::of(message);
        self.engine.execute_later(
            SQL,
            &[
                id.into(),
                texts.sender.as_deref().into(),
                texts.message_id.as_deref().into(),
                message.size.map(i64_of).into(),
                texts.later_ids.as_str().into(),
                texts.open_ids.as_str().into(),
                i64::from(change.is_settled).into(),
                message.changed_at().micros().into(),
            ],
            None,
        )?;
        self.add_later_ids(id, message)?;
        Ok(is_changed || change.is_settled)
    }

    fn insert(
        &mut self,
        new: &[(&LastChange, &FollowedMessage)],
        kept: KeptRecipients,
    ) -> Result<Vec<i64>> {
        const SQL: &str = "INSERT INTO messages (queue_id, host, at, username, domain, sender,
                message_id, size, later_ids, open_ids, settled, changed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id";
        let names: Vec<_> = new
            .iter()
            .map(|(_, message)| message.username.as_str())
            .collect();
        let usernames = self.usernames(&names)?;
        let texts: Vec<_> = new
            .iter()
            .zip(usernames)
            .filter_map(|((change, message), username)| {
                let username = username?;
                let domain = username.domain();
                let texts = MessageTexts::of(message);
                Some((*change, *message, username, domain, texts))
            })
            .collect();
        let args: Vec<Vec<Arg>> = texts
            .iter()
            .map(|(change, message, username, domain, texts)| {
                let mut args = row::key(&change.key).to_vec();
                args.extend([
                    Arg::from(username.as_str()),
                    domain.as_str().into(),
                    texts.sender.as_deref().into(),
                    texts.message_id.as_deref().into(),
                    message.size.map(i64_of).into(),
                    texts.later_ids.as_str().into(),
                    texts.open_ids.as_str().into(),
                    i64::from(change.is_settled).into(),
                    message.changed_at().micros().into(),
                ]);
                args
            })
            .collect();
        let mut ids = vec![0; args.len()];
        self.engine.query_each(SQL, &args, &mut |number, row| {
            ids[number] = row.int(0)?;
            Ok(())
        })?;
        for ((change, message, ..), id) in texts.iter().zip(&ids) {
            let recipients = cut(&message.recipients, kept, change.is_settled);
            self.set_recipients(*id, &[], &recipients)?;
            self.add_later_ids(*id, message)?;
        }
        Ok(ids)
    }

    /// Returns the usernames that these names in a log are; `None` for those that no user
    /// can have, and in a database for those that none has or had.
    fn usernames(&mut self, names: &[&str]) -> Result<Vec<Option<Username>>> {
        const KNOWN: &str = "SELECT username FROM followed_users WHERE username = $1";
        let parsed: Vec<Option<Username>> = names.iter().map(|name| name.parse().ok()).collect();
        if self.is_file {
            return Ok(parsed);
        }
        let args: Vec<Vec<Arg>> = parsed
            .iter()
            .map(|name| vec![name.as_ref().map(Username::as_str).into()])
            .collect();
        let mut known = vec![None; names.len()];
        self.engine.query_each(KNOWN, &args, &mut |number, _| {
            known[number].clone_from(&parsed[number]);
            Ok(())
        })?;
        Ok(known)
    }

    /// Writes the recipients that differ. Returns whether any did.
    fn set_recipients(
        &mut self,
        id: i64,
        old: &[RecipientOutcome],
        new: &[RecipientOutcome],
    ) -> Result<bool> {
        const SET: &str = "INSERT INTO message_recipients
                (message, n, address, original, state, dsn, reply, at, reason, count)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (message, n) DO UPDATE SET address = excluded.address,
                original = excluded.original, state = excluded.state, dsn = excluded.dsn,
                reply = excluded.reply, at = excluded.at, reason = excluded.reason,
                count = excluded.count";
        const END: &str = "DELETE FROM message_recipients WHERE message = $1 AND n >= $2";
        for (n, recipient) in (0_i64..).zip(new) {
            if usize::try_from(n).is_ok_and(|n| old.get(n) == Some(recipient)) {
                continue;
            }
            let args = [
                id.into(),
                n.into(),
                recipient.address.as_deref().into(),
                recipient.original.as_deref().into(),
                recipient.state.name().into(),
                recipient.dsn.as_deref().into(),
                recipient.reply.as_deref().into(),
                recipient.at.micros().into(),
                recipient.reason.map(UnknownReason::name).into(),
                recipient.count.into(),
            ];
            self.engine.execute_later(SET, &args, None)?;
        }
        if old.len() > new.len() {
            let end = i64::try_from(new.len()).unwrap_or(i64::MAX);
            self.engine
                .execute_later(END, &[id.into(), end.into()], None)?;
        }
        Ok(old != new)
    }

    fn add_later_ids(&mut self, id: i64, message: &FollowedMessage) -> Result<()> {
        const SQL: &str = "INSERT INTO message_later_ids (queue_id, message) VALUES ($1, $2)
            ON CONFLICT (queue_id, message) DO NOTHING";
        for later in &message.later_ids {
            let later = kept(later);
            let args = [(&*later).into(), id.into()];
            self.engine.execute_later(SQL, &args, None)?;
        }
        Ok(())
    }

    fn insert_refused(&mut self, refused: &[RefusedMessage]) -> Result<()> {
        const SQL: &str = "INSERT INTO message_refusals
                (queue_id, host, at, username, domain, dsn, reply)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (queue_id, host, at) DO NOTHING";
        let names: Vec<_> = refused
            .iter()
            .map(|refused| refused.username.as_str())
            .collect();
        let usernames = self.usernames(&names)?;
        for (refused, username) in refused.iter().zip(usernames) {
            let Some(username) = username else {
                continue;
            };
            let key = kept_key(&refused.key);
            let domain = username.domain();
            let mut args = row::key(&key).to_vec();
            let dsn = refused.dsn.as_deref().map(kept);
            let reply = kept_reply(&refused.reply);
            args.extend([
                Arg::from(username.as_str()),
                domain.as_str().into(),
                dsn.as_deref().into(),
                (&*reply).into(),
            ]);
            self.engine.execute_later(SQL, &args, None)?;
        }
        Ok(())
    }

    fn set_positions(&mut self, positions: &[LogPosition]) -> Result<()> {
        const SQL: &str = "INSERT INTO log_positions
                (source, device, inode, read_to, cursor, read_at, log_at, dropped)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (source) DO UPDATE SET device = excluded.device,
                inode = excluded.inode, read_to = excluded.read_to, cursor = excluded.cursor,
                read_at = excluded.read_at, log_at = excluded.log_at, dropped = excluded.dropped";
        for position in positions {
            let args = [
                position.source.as_str().into(),
                position.file.map(|(device, _)| device.cast_signed()).into(),
                position.file.map(|(_, inode)| inode.cast_signed()).into(),
                i64_of(position.offset).into(),
                position.cursor.as_deref().into(),
                position.read_at.into(),
                position.log_at.map(LogTime::micros).into(),
                i64_of(position.dropped).into(),
            ];
            self.engine.execute_later(SQL, &args, None)?;
        }
        Ok(())
    }
}

/// The last that is said about each message, in the order of their first changes.
fn last_changes(changes: &[MessageChange]) -> Vec<LastChange<'_>> {
    let mut last: Vec<LastChange> = Vec::new();
    let mut places: HashMap<&MessageKey, usize> = HashMap::new();
    for change in changes {
        let key = match change {
            MessageChange::Changed(message) => &message.key,
            MessageChange::Settled(key) => key,
        };
        let place = *places.entry(key).or_insert_with(|| {
            last.push(LastChange {
                key: kept_key(key),
                message: None,
                is_settled: false,
            });
            last.len() - 1
        });
        let last = &mut last[place];
        match change {
            MessageChange::Changed(message) if last.is_newer(message) => {
                last.message = Some(message);
            }
            MessageChange::Changed(_) => {}
            MessageChange::Settled(_) => last.is_settled = true,
        }
    }
    last
}

/// Recipients as they are kept. Later lines find them by the whole address: it is cut when
/// nothing more comes.
fn cut(
    recipients: &[RecipientOutcome],
    kept: KeptRecipients,
    is_settled: bool,
) -> Vec<RecipientOutcome> {
    let recipients = recipients.iter().map(|recipient| {
        let mut recipient = kept_recipient(recipient);
        if is_settled {
            kept.cut(&mut recipient);
        }
        recipient
    });
    recipients.collect()
}

/// The texts of a message as they are kept.
struct MessageTexts {
    sender: Option<String>,
    message_id: Option<String>,
    later_ids: String,
    open_ids: String,
}

impl MessageTexts {
    fn of(message: &FollowedMessage) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(|text| kept(text).into_owned());
        Self {
            sender: text(&message.sender),
            message_id: text(&message.message_id),
            later_ids: message.later_ids.join(" "),
            open_ids: message.open_ids.join(" "),
        }
    }
}

fn i64_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
