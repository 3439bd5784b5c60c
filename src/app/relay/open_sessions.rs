//! Reads which sessions an admin ended, and tells the open ones when someone asks.

use super::Relay;
use crate::error::Result;
use crate::model::session::SessionReport;
use crate::model::time::Time;

/// A relay tells its sessions at least this often, in seconds, so that it is known to run.
const TELL: i64 = 300;

impl Relay {
    /// Reads the ends that are new in this generation of the store. Returns the number of the
    /// newest one.
    pub(super) fn read_session_ends(&mut self) -> Result<i64> {
        let generation = self.reader.generation();
        if self.ends.read == Some(generation) {
            return Ok(self.ends.newest);
        }
        let newest = self.store()?.newest_session_end()?;
        if newest < self.ends.newest {
            self.ends.begin_again(newest);
            self.sessions.end_before(newest);
        } else if newest > self.ends.newest {
            let after = self.ends.newest;
            let found = self.store()?.session_ends_after(after)?;
            self.ends.extend(found);
            self.ends.newest = newest;
        }
        self.ends.read = Some(generation);
        Ok(newest)
    }

    /// Returns the open sessions if someone asked for them since the last call, or if they
    /// were not reported for a while.
    pub fn asked_for_sessions(&mut self) -> Result<Option<SessionReport>> {
        self.reader.check()?;
        let now = (self.world.now)();
        let generation = self.reader.generation();
        let is_due = |at: Time| (now.epoch() - at.epoch()).abs() >= TELL;
        let due = self.ends.answered.is_none_or(|(_, at)| is_due(at));
        if !due && self.ends.asked == Some(generation) {
            return Ok(None);
        }
        let request = self.store()?.newest_session_request()?;
        self.ends.asked = Some(generation);
        let answered = self.ends.answered.map(|(request, _)| request);
        if !due && answered == Some(request) {
            return Ok(None);
        }
        self.read_session_ends()?;
        let mut sessions = Vec::new();
        for (newest_end, mut session) in self.sessions.open(now, self.world.runs) {
            let name = session.username.clone();
            session.username = self.known_user(name.clone());
            let names = [&name, &session.username];
            let (id, address) = (&session.password_id, session.address);
            if !self.ends.end(newest_end, names, id, address) {
                sessions.push(session);
            }
        }
        self.ends.answered = Some((request, now));
        Ok(Some(SessionReport {
            relay: self.ends.relay.clone(),
            host: (self.world.actor)().host,
            request,
            sessions,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::app::relay::Service;
    use crate::app::relay::login::Login;
    use crate::app::relay::testing::{NOW, TestStore, login_of};
    use crate::model::name::Username;
    use crate::model::password::PasswordId;
    use crate::model::session::SessionEnd;

    const SHOP: &str = "shop@example.com";
    const FROM: &str = "192.0.2.1";

    fn begin(relay: &mut Relay, process: u32) {
        relay.refresh(Instant::now()).unwrap();
        let newest_end = relay.read_session_ends().unwrap();
        let service = Service {
            process: Some(process),
            is_here: false,
            connection: process.into(),
        };
        let user: Username = SHOP.parse().unwrap();
        let login = (&user, &PasswordId::stored("AAAAAAAA".into()));
        let now = Time::from_epoch(NOW);
        let from = FROM.parse().ok();
        relay.sessions.begin(service, login, from, now, newest_end);
    }

    fn login(relay: &mut Relay, process: u32) -> Login {
        login_of(relay, SHOP, process, FROM)
    }

    fn end(store: &mut TestStore, network: &str) {
        let end = SessionEnd {
            username: SHOP.parse().ok(),
            network: network.parse().ok(),
            ..SessionEnd::default()
        };
        store.change(|tx| tx.end_sessions(&end, None).unwrap());
    }

    #[test]
    fn p3_an_end_means_the_sessions_that_began_before_it() {
        let mut store = TestStore::new();
        store.add_user(SHOP, "vague-Otter-61");
        let mut relay = store.relay();
        begin(&mut relay, 7);
        assert_eq!(login(&mut relay, 7), Login::Works);
        end(&mut store, "203.0.113.0/24");
        assert_eq!(login(&mut relay, 7), Login::Works, "of other addresses");
        end(&mut store, "192.0.2.0/24");
        assert_eq!(login(&mut relay, 7), Login::EndedByAdmin);
        // The same clock, and the password still works.
        begin(&mut relay, 8);
        assert_eq!(login(&mut relay, 8), Login::Works);
        assert_eq!(login(&mut relay, 7), Login::EndedByAdmin);
        // All ends are known to a program that starts later, and mean nothing of its own.
        let mut later = store.relay();
        begin(&mut later, 9);
        assert_eq!(login(&mut later, 9), Login::Works);
        store.reset(SHOP, "other-Otter-63");
        for process in [7, 8] {
            assert_eq!(login(&mut relay, process), Login::Ended);
        }
    }

    #[test]
    fn sessions_are_told_when_somebody_asks() {
        let mut store = TestStore::new();
        store.add_user(SHOP, "vague-Otter-61");
        let mut relay = store.relay();
        let told = |relay: &mut Relay| {
            relay.refresh(Instant::now()).unwrap();
            let report = relay.asked_for_sessions().unwrap();
            report.map(|report| report.sessions.len())
        };
        assert_eq!(told(&mut relay), Some(0), "that it runs");
        begin(&mut relay, 7);
        assert_eq!(told(&mut relay), None);
        store.change(|tx| assert_eq!(tx.ask_for_sessions().unwrap(), 1));
        assert_eq!(told(&mut relay), Some(1));
        assert_eq!(told(&mut relay), None);
        end(&mut store, FROM);
        assert_eq!(told(&mut relay), None);
        store.change(|tx| assert_eq!(tx.ask_for_sessions().unwrap(), 2));
        assert_eq!(told(&mut relay), Some(0), "an ended one is not open");
    }
}
