//! A relay with a store in a temporary folder, for tests without sockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::login::Login;
use super::writer::StoreWriter;
use super::{Attempt, Envelope, LATEST, Opener, PolicyStage, Relay, Requester};
use crate::app::{App, World};
use crate::model::actor::{Actor, Traces};
use crate::model::address_rules::AddressChange;
use crate::model::hash::{Cost, Hasher};
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::RulesChange;
use crate::model::size::MemorySize;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::store::{
    Access, DomainChange, Location, NewPassword, NewUser, OldPasswords, SendingChange, Store, Tx,
};

/// Quickly computed, and less than the settings ask for.
pub const CHEAP: Cost = Cost { m: 8, t: 1, p: 1 };
pub const NOW: i64 = 1_800_000_000;

pub struct TestStore {
    folder: TempDir,
    app: App,
}

fn world() -> World {
    World {
        now: || Time::from_epoch(NOW),
        random: |bytes| {
            bytes.fill(7);
            Ok(())
        },
        actor: || Actor::from_traces(Traces::default()),
        runs: |_| true,
    }
}

impl TestStore {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::new(open(&folder), world());
        let mut store = Self { folder, app };
        let domain = "example.com".parse().unwrap();
        store.change(|tx| tx.add_domain(&domain, &DomainChange::default()).unwrap());
        store
    }

    /// Returns the store and its rules, as another process would have them.
    pub fn app(&mut self) -> &mut App {
        &mut self.app
    }

    /// Makes a change, as another process would.
    pub fn change(&mut self, change: impl FnOnce(&mut Tx<'_>)) {
        let mut tx = self.app.begin().unwrap();
        change(&mut tx);
        tx.commit().unwrap();
    }

    pub fn add_user(&mut self, username: &str, password: &str) {
        let username: Username = username.parse().unwrap();
        let password = new_password("AAAAAAAA", password);
        let user = NewUser {
            username: &username,
            label: None,
            note: None,
            tags: &[],
            copy_of: None,
            daily_limit: None,
            expires_at: None,
            sending: &SendingChange::default(),
            rotation: &RulesChange::default(),
            addresses: &AddressChange::default(),
        };
        self.change(|tx| tx.add_user(&user, &password).unwrap());
    }

    pub fn reset(&mut self, username: &str, password: &str) {
        let username: Username = username.parse().unwrap();
        let password = new_password("BBBBBBBB", password);
        self.change(|tx| {
            tx.reset_password(&username, &password, OldPasswords::Stop)
                .unwrap();
        });
    }

    /// Removes the folder of the store.
    pub fn remove(&mut self) {
        self.folder = tempfile::tempdir().unwrap();
    }

    fn opener(&self) -> Opener {
        let path = self.folder.path().join("smtpcred.db");
        let location = Location::parse(path.as_os_str()).unwrap();
        Box::new(move |patience| Store::open_within(&location, Access::Existing, patience))
    }

    /// Returns the writing side of a relay.
    pub fn writer(&self) -> StoreWriter {
        StoreWriter::new(self.opener(), world())
    }

    /// Returns a relay that has opened the store. No turn is too long for it: a busy machine may
    /// stop a test for seconds.
    pub fn relay(&self) -> Relay {
        const HOUR: Duration = Duration::from_secs(3600);
        let mut relay = Relay::new(self.opener(), world(), 2, MemorySize::mib(1)).unwrap();
        relay.reader.turn = HOUR;
        while relay.refresh(Instant::now()).is_err() {}
        relay
    }
}

fn open(folder: &TempDir) -> Store {
    let path = folder.path().join("smtpcred.db");
    let location = Location::parse(path.as_os_str()).unwrap();
    Store::open(&location, Access::Create).unwrap()
}

pub fn new_password(id: &str, password: &str) -> NewPassword {
    let mut hasher = Hasher::default();
    NewPassword {
        password_id: PasswordId::stored(id.into()),
        hash: (hasher.hash(password.as_bytes(), CHEAP, world().random)).unwrap(),
        generated: false,
    }
}

pub fn attempt(username: &str, password: &str, address: &str, since: Instant) -> Arc<Attempt> {
    let address: IpAddr = address.parse().unwrap();
    Arc::new(Attempt {
        username: username.into(),
        password: password.as_bytes().to_vec().into(),
        address: Some(address),
        secured: true,
        since,
        latest: since + LATEST,
    })
}

/// Returns a count of messages to one recipient each.
pub fn messages(messages: u32) -> Count {
    Count {
        messages,
        recipients: messages,
        new_recipients: 0,
    }
}

/// What the session of a user in a process may do, when it asks about a recipient.
pub(super) fn login_of(relay: &mut Relay, username: &str, process: u32, address: &str) -> Login {
    relay.refresh(Instant::now()).unwrap();
    let user: Username = username.parse().unwrap();
    let envelope = Envelope {
        stage: PolicyStage::Recipient,
        process: Some(process),
        requester: Requester::until(Instant::now()),
        instance: String::new(),
        username: username.into(),
        sender: username.into(),
        recipient: "one@elsewhere.test".into(),
        recipients: 0,
        bytes: 0,
        address: address.parse().ok(),
    };
    let now = Time::from_epoch(NOW);
    relay.login(&user, &user, &envelope, now).unwrap()
}
