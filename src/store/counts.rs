//! What was sent, and to which recipients. It is measured, not changed by an admin, so no
//! events are written.

use super::engine::{add_to_counts, sum};
use super::{Scope, Store, Tx};
use crate::error::Result;
use crate::model::day::Day;
use crate::model::limit_kind::LimitPeriod;
use crate::model::limits::Limits;
use crate::model::name::Username;
use crate::model::text::hexadecimal;
use crate::model::time::Time;
use crate::model::usage_window::{Bucket, Count, UsageWindow};

/// The span of leases among the counts: a relay has counted them and may release them.
pub(super) const HELD: &str = "held";
/// In seconds. Handed back within one; a relay that was killed never does it.
const HELD_FOR: i64 = 5;

impl Store {
    /// Returns what a scope sent, as far back as these limits look. Entries later
    /// than now count as now: a clock was ahead when they were written.
    pub fn usage_window(
        &mut self,
        owner: Scope,
        limits: &Limits,
        now: Time,
        day: &Day,
    ) -> Result<UsageWindow> {
        const SQL: &str = "SELECT at, messages, recipients, new_recipients FROM counts
            WHERE owner = $1 AND span = $2 AND at >= $3";
        let mut tally = UsageWindow::default();
        for span in LimitPeriod::ALL {
            if !limits.iter().any(|(kind, _)| kind.span == span) {
                continue;
            }
            let args = [
                owner.as_str().into(),
                span.name().into(),
                span.begins(now, day).into(),
            ];
            self.engine.query(SQL, &args, &mut |row| {
                let amount = Count {
                    messages: row.count(1)?,
                    recipients: row.count(2)?,
                    new_recipients: row.count(3)?,
                };
                let at = row.time(0)?.min(span.bucket_at(now));
                tally.add(span, Bucket { at, amount });
                Ok(())
            })?;
        }
        Ok(tally)
    }

    /// Returns the same for a user, its domain and the installation, as [`Scope::all`] names
    /// them.
    pub fn usage_windows(
        &mut self,
        username: &Username,
        limits: &[Limits; 3],
        now: Time,
        day: &Day,
    ) -> Result<[UsageWindow; 3]> {
        let mut windows: [UsageWindow; 3] = Default::default();
        for ((window, owner), limits) in windows.iter_mut().zip(Scope::all(username)).zip(limits) {
            *window = self.usage_window(owner, limits, now, day)?;
        }
        Ok(windows)
    }

    /// Returns how much of a scope's counts is leased to any relay and may still be released.
    pub fn leased(&mut self, owner: Scope, now: Time) -> Result<Count> {
        const SQL: &str = concat!(
            "SELECT ",
            sum!("messages"),
            ", ",
            sum!("recipients"),
            " FROM counts WHERE owner = $1 AND span = $2 AND at >= $3"
        );
        let since = Time::from_epoch(now.epoch() - HELD_FOR);
        let mut held = Count::default();
        let args = [owner.as_str().into(), HELD.into(), since.into()];
        self.engine.query(SQL, &args, &mut |row| {
            held.messages = row.count(0)?;
            held.recipients = row.count(1)?;
            Ok(())
        })?;
        Ok(held)
    }

    /// Returns to how many recipients a user sent for the first time within the last hour.
    pub fn new_recipients_in_hour(&mut self, username: &Username, now: Time) -> Result<u64> {
        const SQL: &str = concat!(
            "SELECT COALESCE(",
            sum!("new_recipients"),
            ", 0) FROM counts WHERE owner = $1 AND span = $2 AND at >= $3"
        );
        let hour = LimitPeriod::Hour;
        let args = [
            username.as_str().into(),
            hour.name().into(),
            hour.begins(now, &Day::Rolling).into(),
        ];
        Ok(self.number(SQL, &args)?.unsigned_abs())
    }

    /// Whether a user has sent to this recipient before, as far as that was
    /// written down.
    pub fn knows_recipient(&mut self, username: &Username, digest: u128) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM recipients WHERE username = $1 AND digest = $2";
        let mut known = false;
        let digest = hexadecimal(&digest.to_be_bytes());
        let args = [username.as_str().into(), digest.as_str().into()];
        self.engine.query(SQL, &args, &mut |_| {
            known = true;
            Ok(())
        })?;
        Ok(known)
    }
}

impl Tx<'_> {
    /// Adds what was sent to an owner's counts.
    pub fn count(&mut self, owner: Scope, amount: Count, now: Time) -> Result<()> {
        for span in LimitPeriod::ALL {
            self.add(owner, span.name(), span.bucket_at(now), amount)?;
        }
        Ok(())
    }

    /// Records that this part of the counts is a lease.
    pub fn lease(&mut self, owner: Scope, amount: Count, now: Time) -> Result<()> {
        self.add(owner, HELD, now, amount)
    }

    fn add(&mut self, owner: Scope, span: &str, at: Time, amount: Count) -> Result<()> {
        const SQL: &str = add_to_counts!("VALUES ($1, $2, $3, $4, $5, $6)");
        self.change(SQL, owner, span, at, amount)
    }

    fn change(
        &mut self,
        sql: &'static str,
        owner: Scope,
        span: &str,
        at: Time,
        amount: Count,
    ) -> Result<()> {
        let args = [
            owner.as_str().into(),
            span.into(),
            at.into(),
            amount.messages.into(),
            amount.recipients.into(),
            amount.new_recipients.into(),
        ];
        self.later(sql, &args)
    }

    /// Ends a lease that was recorded at `then`: its messages were sent, or are uncounted.
    pub fn release(&mut self, owner: Scope, amount: Count, then: Time) -> Result<()> {
        // Nearly always it is one relay's alone.
        const ALL: &str = "DELETE FROM counts
            WHERE owner = $1 AND span = $2 AND at = $3 AND messages <= $4 AND recipients <= $5";
        let args = [
            owner.as_str().into(),
            HELD.into(),
            then.into(),
            amount.messages.into(),
            amount.recipients.into(),
        ];
        if self.execute(ALL, &args)? == 0 {
            self.take(owner, HELD, then, amount)?;
        }
        Ok(())
    }

    /// Takes back messages that were counted at `then` and not sent.
    pub fn uncount(&mut self, owner: Scope, amount: Count, then: Time) -> Result<()> {
        for span in LimitPeriod::ALL {
            self.take(owner, span.name(), span.bucket_at(then), amount)?;
        }
        Ok(())
    }

    fn take(&mut self, owner: Scope, span: &str, at: Time, amount: Count) -> Result<()> {
        // Never below zero, even if a row was changed by hand.
        const SQL: &str = "UPDATE counts SET
                messages = CASE WHEN messages > $4 THEN messages - $4 ELSE 0 END,
                recipients = CASE WHEN recipients > $5 THEN recipients - $5 ELSE 0 END,
                new_recipients = CASE WHEN new_recipients > $6
                    THEN new_recipients - $6 ELSE 0 END
            WHERE owner = $1 AND span = $2 AND at = $3";
        self.change(SQL, owner, span, at, amount)
    }

    /// Records a recipient of a user. Returns whether it is new.
    pub fn add_recipient(&mut self, username: &Username, digest: u128, now: Time) -> Result<bool> {
        const SQL: &str = "INSERT INTO recipients (username, digest, first_at)
            SELECT username, $2, $3 FROM users WHERE username = $1 ON CONFLICT DO NOTHING";
        let digest = hexadecimal(&digest.to_be_bytes());
        let args = [username.as_str().into(), digest.as_str().into(), now.into()];
        Ok(self.execute(SQL, &args)? > 0)
    }

    /// Undoes [`Self::add_recipient`] for a message that was not sent.
    pub fn delete_recipient(&mut self, username: &Username, digest: u128) -> Result<()> {
        const SQL: &str = "DELETE FROM recipients WHERE username = $1 AND digest = $2";
        let digest = hexadecimal(&digest.to_be_bytes());
        let args = [username.as_str().into(), digest.as_str().into()];
        self.execute(SQL, &args).map(|_| ())
    }
}
