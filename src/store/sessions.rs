//! Open sessions as the relays tell them, and the ends that an admin ordered.

use super::{Store, Tx};
use crate::error::Result;
use crate::model::event::{Action, Fields};
use crate::model::name::{DomainName, Username};
use crate::model::password::PasswordId;
use crate::model::session::{OpenSession, SessionEnd, SessionReport, SessionReporter};
use crate::model::time::Time;

/// How long a relay that has stopped without a word is waited for, in seconds: three times as
/// long as between its reports.
const GONE: i64 = 900;
/// No session lasts longer, in seconds.
const LONGEST: i64 = 7 * 86_400;

impl Store {
    /// Returns the number of the newest end; 0 if there is none.
    pub fn newest_session_end(&mut self) -> Result<i64> {
        self.number("SELECT COALESCE(max(id), 0) FROM session_ends", &[])
    }

    /// Returns the ends after a number.
    pub fn session_ends_after(&mut self, number: i64) -> Result<Vec<(i64, SessionEnd)>> {
        const SQL: &str = "SELECT id, domain, username, password_id, network FROM session_ends
            WHERE id > $1 ORDER BY id";
        let mut found = Vec::new();
        self.engine.query(SQL, &[number.into()], &mut |row| {
            let end = SessionEnd {
                domain: row.opt_parsed(1)?,
                username: row.opt_parsed(2)?,
                password_id: row.opt_text(3)?.map(|id| PasswordId::stored(id.to_owned())),
                network: row.opt_parsed(4)?,
            };
            found.push((row.int(0)?, end));
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the number of the newest request for open sessions; 0 if there is none.
    pub fn newest_session_request(&mut self) -> Result<i64> {
        self.number("SELECT COALESCE(max(id), 0) FROM session_requests", &[])
    }

    /// Returns the relays that have told their sessions lately.
    pub fn session_reporters(&mut self, now: Time) -> Result<Vec<SessionReporter>> {
        const SQL: &str = "SELECT host, request, at FROM session_reports WHERE at > $1
            ORDER BY host, relay";
        let since = now.epoch() - GONE;
        let mut found = Vec::new();
        self.engine.query(SQL, &[since.into()], &mut |row| {
            found.push(SessionReporter {
                host: row.text(0)?.to_owned(),
                request: row.int(1)?,
                at: row.time(2)?,
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns how many open sessions the relays last reported, which is at most a few minutes
    /// ago; `None` if no relay runs.
    pub fn session_count(&mut self, now: Time) -> Result<Option<u64>> {
        const SQL: &str = "SELECT count(s.relay) FROM session_reports r
            LEFT JOIN sessions s ON s.relay = r.relay WHERE r.at > $1 HAVING count(r.relay) > 0";
        let mut found = None;
        let since = now.epoch() - GONE;
        self.engine.query(SQL, &[since.into()], &mut |row| {
            found = Some(row.int(0)?.unsigned_abs());
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the names of the relays of a machine.
    pub fn relays_of(&mut self, host: &str) -> Result<Vec<String>> {
        const SQL: &str = "SELECT relay FROM session_reports WHERE host = $1 ORDER BY relay";
        let mut found = Vec::new();
        self.engine.query(SQL, &[host.into()], &mut |row| {
            found.push(row.text(0)?.to_owned());
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the open sessions in their reports whose password still works, of a user or
    /// all: the latest first.
    pub fn sessions(&mut self, of: Option<&Username>, now: Time) -> Result<Vec<OpenSession>> {
        const SQL: &str = "SELECT s.username, s.password_id, s.address, s.since, s.last_at,
                s.messages, s.recipients
            FROM sessions s
            JOIN session_reports r ON r.relay = s.relay AND r.at > $1
            JOIN users u ON u.username = s.username AND u.suspended_at IS NULL
                AND (u.expires_at IS NULL OR u.expires_at > $2)
            JOIN passwords p ON p.username = s.username AND p.password_id = s.password_id
                AND p.hash IS NOT NULL AND (p.retires_at IS NULL OR p.retires_at > $2)
            WHERE CAST($3 AS TEXT) IS NULL OR s.username = $3
            ORDER BY s.last_at DESC, s.username, s.relay, s.number";
        let args = [
            (now.epoch() - GONE).into(),
            now.into(),
            of.map(Username::as_str).into(),
        ];
        let mut found = Vec::new();
        self.engine.query(SQL, &args, &mut |row| {
            found.push(OpenSession {
                username: row.parsed(0)?,
                password_id: PasswordId::stored(row.text(1)?.to_owned()),
                address: row.opt_parsed(2)?,
                since: row.time(3)?,
                last: row.time(4)?,
                messages: row.count(5)?,
                recipients: row.count(6)?,
            });
            Ok(())
        })?;
        Ok(found)
    }
}

impl Tx<'_> {
    /// Ends the open sessions that this means, at their next command. `known` is how many
    /// that are, as far as anyone knows.
    pub fn end_sessions(&mut self, end: &SessionEnd, known: Option<u64>) -> Result<()> {
        self.order_session_end(end)?;
        let network = end.network.map(|network| network.to_string());
        let fields = Fields::default()
            .with_some(
                "password_id",
                end.password_id.as_ref().map(PasswordId::as_str),
            )
            .with_some("address", network)
            .with_some("sessions", known);
        self.event(
            Action::SessionEnd,
            end.domain.as_ref(),
            end.username.as_ref(),
            &fields,
        )
    }

    /// Does the same as a part of another change, whose event says so.
    pub(super) fn order_session_end(&mut self, end: &SessionEnd) -> Result<()> {
        const OLD: &str = "DELETE FROM session_ends WHERE at < $1
            AND id < (SELECT max(id) FROM session_ends)";
        const SQL: &str = "INSERT INTO session_ends (at, domain, username, password_id, network)
            VALUES ($1, $2, $3, $4, $5)";
        let old = self.stamp.at.epoch() - LONGEST;
        self.execute(OLD, &[old.into()])?;
        let network = end.network.map(|network| network.to_string());
        let args = [
            self.stamp.at.into(),
            end.domain.as_ref().map(DomainName::as_str).into(),
            end.username.as_ref().map(Username::as_str).into(),
            end.password_id.as_ref().map(PasswordId::as_str).into(),
            network.as_deref().into(),
        ];
        self.later(SQL, &args)
    }

    /// Asks all relays for their open sessions. Returns the number of the request. Nothing is
    /// changed: no event.
    pub fn ask_for_sessions(&mut self) -> Result<i64> {
        const OLD: &str = "DELETE FROM session_requests WHERE id <
            (SELECT max(id) FROM session_requests)";
        const SQL: &str = "INSERT INTO session_requests (at) VALUES ($1)";
        self.execute(OLD, &[])?;
        self.execute(SQL, &[self.stamp.at.into()])?;
        self.store.newest_session_request()
    }

    /// Replaces what a relay told before. Measured, not changed by an admin: no event.
    pub fn report_sessions(&mut self, report: &SessionReport) -> Result<()> {
        const GONE_RELAYS: &str = "DELETE FROM session_reports WHERE at < $1 OR relay = $2";
        const REPORT: &str = "INSERT INTO session_reports (relay, request, at, host)
            VALUES ($1, $2, $3, $4)";
        const SESSION: &str = "INSERT INTO sessions (relay, number, username, password_id, address,
                since, last_at, messages, recipients)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let relay = report.relay.as_str();
        let gone = self.stamp.at.epoch() - GONE;
        self.later(GONE_RELAYS, &[gone.into(), relay.into()])?;
        let (request, host) = (report.request, report.host.as_str());
        let args = [
            relay.into(),
            request.into(),
            self.stamp.at.into(),
            host.into(),
        ];
        self.later(REPORT, &args)?;
        for (number, session) in (0i64..).zip(&report.sessions) {
            let address = session.address.map(|address| address.to_string());
            let args = [
                relay.into(),
                number.into(),
                session.username.as_str().into(),
                session.password_id.as_str().into(),
                address.as_deref().into(),
                session.since.into(),
                session.last.into(),
                i64::from(session.messages).into(),
                i64::from(session.recipients).into(),
            ];
            self.later(SESSION, &args)?;
        }
        Ok(())
    }

    /// Forgets a relay that stops.
    pub fn forget_relay(&mut self, relay: &str) -> Result<()> {
        self.later(
            "DELETE FROM session_reports WHERE relay = $1",
            &[relay.into()],
        )
    }
}
