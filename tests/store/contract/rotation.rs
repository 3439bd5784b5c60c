//! The part of the story about rotation: one password beside another, until it
//! is known which one arrived. Over 400 lines, because it is one story: each part
//! begins with what the one before it left.

use smtpcred::error::Error;
use smtpcred::model::delivery::Destination;
use smtpcred::model::duration::Duration;
use smtpcred::model::event::Event;
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::PasswordId;
use smtpcred::model::rotation::{Retire, RotationStage, RulesChange, Unfinished};
use smtpcred::model::setting::Setting;
use smtpcred::model::time::Time;
use smtpcred::model::user::Status;
use smtpcred::store::{
    Candidate, DomainChange, EventFilter, OldPasswords, Scope, Seen, SettingsChange, Store,
    UserChange,
};

use super::{at, change, events, password, stamp};

/// What it leaves in the events, in this order.
pub const EVENTS: &[&str] = &[
    "user.set",
    "domain.set",
    "settings.set",
    "user.set",
    "domain.set",
    "settings.set",
    "rotation.begin",
    "rotation.unfinished",
    "rotation.begin",
    "rotation.withdraw",
    "rotation.begin",
    "user.rotate",
    "rotation.begin",
    "user.rotate",
    "rotation.begin",
    "user.rotate",
    "rotation.begin",
    "user.retire",
    "rotation.begin",
    "user.rotate",
    "user.retire",
    "rotation.begin",
    "rotation.withdraw",
    "user.reset",
    "rotation.begin",
    "user.retire",
    "rotation.begin",
    "rotation.unfinished",
    "user.retire",
    "user.set",
    "user.expired",
    "user.set",
    "rotation.withdraw",
    "rotation.withdraw",
    "rotation.begin",
    "rotation.withdraw",
];

fn x() -> Username {
    "x@b.example".parse().unwrap()
}

fn key(id: &str) -> PasswordId {
    PasswordId::stored(id.into())
}

/// And to a command.
fn to_file() -> Destination {
    Destination {
        command: "put it".parse().ok(),
        write_file: "/etc/{username}".parse().ok(),
        ..Destination::default()
    }
}

fn seconds(n: i64) -> Duration {
    format!("{n}s").parse().unwrap()
}

/// Uses and leaves user x as it found it, but for its passwords.
pub fn story(store: &mut Store, open: &dyn Fn() -> Store) {
    let before = events(store, &EventFilter::default()).len();
    rules(store);
    one_at_a_time(store, open);
    beginning(store);
    retiring(store);
    while_it_is_used(store);
    by_hand(store);
    clocks(store);
    expiry(store);
    refusing(store);
    let all = events(store, &EventFilter::default());
    let actions: Vec<_> = all[before..].iter().map(|e| e.action.as_str()).collect();
    assert_eq!(actions, EVENTS);
}

/// The hashes that are there, the newest first, and until when they work.
fn live(store: &mut Store) -> Vec<(String, Option<Time>)> {
    let hashes = store.hashes(&x()).unwrap().into_iter();
    hashes
        .map(|h| (h.password_id.to_string(), h.retires_at))
        .collect()
}

fn kept(id: &str, until: Option<i64>) -> (String, Option<Time>) {
    (id.into(), until.map(at))
}

fn last(store: &mut Store) -> Event {
    events(store, &EventFilter::default()).pop().unwrap()
}

/// All who can sign in.
fn candidates(store: &mut Store, now: i64) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut each = |candidate| {
        found.push(candidate);
        Ok(())
    };
    let mut after = String::new();
    while let Some(last) = store
        .rotation_candidates(&after, at(now), Some(seconds(1)), at(now + 1), &mut each)
        .unwrap()
    {
        after = last;
    }
    found
}

fn change_rules(store: &mut Store, second: i64, [user, domain, all]: [RulesChange; 3]) {
    change(store, second, |tx| {
        tx.set_user(
            &x(),
            &UserChange {
                rotation: user,
                ..UserChange::default()
            },
        )?;
        tx.set_domain(
            &"b.example".parse()?,
            &DomainChange {
                rotation: domain,
                ..DomainChange::default()
            },
        )?;
        tx.set_settings(&SettingsChange {
            rotation: all,
            ..SettingsChange::default()
        })
    });
}

fn rules(store: &mut Store) {
    let every = |n| Some(Setting::Some(seconds(n)));
    let of_user = RulesChange {
        every: every(100),
        ..RulesChange::default()
    };
    let of_domain = RulesChange {
        command: Some(Setting::Some("put 'a b' $HOME \\' é".parse().unwrap())),
        timeout: every(7),
        ..RulesChange::default()
    };
    let of_all = RulesChange {
        every: every(300),
        write_file: Some(Setting::Some("/f/{username}".parse().unwrap())),
        write_env: Some(Setting::Some("/e/{username}".parse().unwrap())),
        env_name: Some(Setting::Some("PW".parse().unwrap())),
        ..RulesChange::default()
    };
    change_rules(store, 400, [of_user, of_domain, of_all]);
    let found = store.rotation_rules(&x()).unwrap();
    assert_eq!(found.every, Some(seconds(100)), "the nearest");
    let words = found.delivery.command.as_ref().unwrap().words();
    assert_eq!(words, ["put", "a b", "$HOME", "'", "é"]);
    assert_eq!(found.delivery.timeout, Some(seconds(7)));
    assert!(found.delivery.write_file.is_none(), "as a whole");

    let b: DomainName = "b.example".parse().unwrap();
    let own = store.own_rotation_rules(Scope::domain(&b)).unwrap();
    assert_eq!((own.every, &own.delivery), (None, &found.delivery));
    let own = store.own_rotation_rules(Scope::INSTALLATION).unwrap();
    assert_eq!(own.every, Some(seconds(300)));
    assert_eq!(
        own.delivery.write_file.unwrap().to_string(),
        "/f/{username}"
    );
    assert_eq!(own.delivery.write_env.unwrap().to_string(), "/e/{username}");
    assert_eq!(own.delivery.env_name.unwrap().as_str(), "PW");

    let found = candidates(store, 1_000);
    let every: Vec<_> = found
        .iter()
        .map(|c| (c.username.as_str(), c.every.map(Duration::seconds)))
        .collect();
    // By name; the domain says nothing about how often.
    let expected = [
        ("x@b.example", Some(100)),
        ("y@a.example", Some(300)),
        ("z@b.example", Some(300)),
    ];
    assert_eq!(every, expected);

    let none = || RulesChange {
        every: Some(Setting::None),
        command: Some(Setting::None),
        write_file: Some(Setting::None),
        write_env: Some(Setting::None),
        env_name: Some(Setting::None),
        timeout: Some(Setting::None),
    };
    change_rules(store, 401, [none(), none(), none()]);
    assert!(store.rotation_rules(&x()).unwrap().is_empty());
    assert!(candidates(store, 1_000).iter().all(|c| c.every.is_none()));
}

fn one_at_a_time(store: &mut Store, open: &dyn Fn() -> Store) {
    let mut other = open();
    let lock = store.lock_rotation().unwrap();
    assert!(other.lock_rotation().is_err());
    drop(lock);
    drop(other.lock_rotation().unwrap());
}

fn beginning(store: &mut Store) {
    // A retiring one is among them.
    let [newest, retiring] = &live(store)[..] else {
        panic!("two live passwords")
    };
    let (newest, retiring) = (newest.clone(), retiring.clone());
    change(store, 410, |tx| {
        tx.begin_rotation(&x(), &password("rot00001", 19_456), &to_file(), true)
    });
    assert_eq!(live(store), [kept("rot00001", None), newest.clone()]);
    assert!(retiring.1.is_some(), "the third stopped in the same moment");
    let expected = Unfinished {
        password_id: Some(key("rot00001")),
        stage: RotationStage::Live,
        began_at: at(410),
        settles_at: None,
        reason: None,
        with_command: true,
        files: to_file().files_of(&x()),
    };
    let path = expected.files.write_file.as_ref().map(ToString::to_string);
    assert_eq!(path.as_deref(), Some("/etc/x@b.example"));
    assert_eq!(store.unfinished(&x()).unwrap().unwrap(), expected);
    let [of_x, of_y, _] = &candidates(store, 1_000)[..] else {
        panic!("three users")
    };
    assert!(of_x.unfinished && !of_y.unfinished);
    assert_eq!(of_x.password_at, Some(at(410)));
    assert_eq!(of_x.expires_at, None);

    // Handing over leaves no event; and somebody else's key is not handed over.
    let count = events(store, &EventFilter::default()).len();
    change(store, 411, |tx| {
        assert!(!tx.hand_over(&x(), &key("another1"), at(471))?);
        assert!(tx.hand_over(&x(), &key("rot00001"), at(471))?);
        tx.leave_rotation(&x(), &key("another1"), "of another one")?;
        tx.withdraw_rotation(&x(), &key("another1"), "of another one")?;
        assert!(!tx.finish_rotation(&x(), &key("another1"), Retire::AtOnce)?);
        Ok(())
    });
    assert_eq!(events(store, &EventFilter::default()).len(), count);
    let found = store.unfinished(&x()).unwrap().unwrap();
    assert_eq!(found.stage, RotationStage::Handing);
    assert_eq!(found.settles_at, Some(at(471)));
    assert_eq!(live(store).len(), 2);

    change(store, 412, |tx| {
        tx.leave_rotation(&x(), &key("rot00001"), "it hung")
    });
    let mut all = Vec::new();
    let mut each = |username: Username, unfinished: Unfinished| {
        all.push((username.to_string(), unfinished));
        Ok(())
    };
    store.each_unfinished(&mut each).unwrap();
    let [(name, found)] = &all[..] else {
        panic!("one: {all:?}")
    };
    assert_eq!(name, "x@b.example");
    assert_eq!(found.settles_at, Some(at(412)));
    assert_eq!(
        (found.stage, found.reason()),
        (RotationStage::Handing, "it hung")
    );

    // Anew: the one that was left stops in the same moment.
    change(store, 413, |tx| {
        tx.begin_rotation(&x(), &password("rot00002", 19_456), &to_file(), false)
    });
    assert_eq!(live(store), [kept("rot00002", None), newest.clone()]);
    assert_eq!(
        last(store).fields.to_string().matches("rot00001").count(),
        1
    );
    let found = store.unfinished(&x()).unwrap().unwrap();
    assert_eq!((found.began_at, found.reason), (at(413), None));

    change(store, 414, |tx| {
        tx.withdraw_rotation(&x(), &key("rot00002"), "no such host")
    });
    assert_eq!(live(store), [newest]);
    let found = store.unfinished(&x()).unwrap().unwrap();
    assert_eq!(
        (found.password_id, found.stage),
        (None, RotationStage::Withdrawn)
    );
    assert_eq!(found.reason.as_deref(), Some("no such host"));
}

fn rotate(store: &mut Store, second: i64, id: &str, retire: Retire) {
    change(store, second, |tx| {
        tx.begin_rotation(&x(), &password(id, 19_456), &to_file(), true)
    });
    change(store, second + 1, |tx| {
        assert!(tx.finish_rotation(&x(), &key(id), retire)?);
        Ok(())
    });
    assert!(store.unfinished(&x()).unwrap().is_none());
}

fn retiring(store: &mut Store) {
    rotate(store, 420, "rot00003", Retire::AtOnce);
    assert_eq!(live(store), [kept("rot00003", None)]);
    rotate(store, 430, "rot00004", Retire::After(seconds(60)));
    assert_eq!(
        live(store),
        [kept("rot00004", None), kept("rot00003", Some(491))]
    );
    let user = store.user(&x()).unwrap().unwrap();
    assert_eq!(user.status(at(490)), Status::Overlap);
    assert_eq!(user.status(at(491)), Status::Active);
    let row = store.sign_in_row(&x()).unwrap().unwrap();
    assert_eq!(row.hashes[1].retires_at, Some(at(491)));
}

fn while_it_is_used(store: &mut Store) {
    let retire = Retire::WhenUnused {
        unused: seconds(100),
        most: seconds(250),
    };
    rotate(store, 500, "rot00005", retire);
    let until = |store: &mut Store, second| {
        let seen = Seen {
            at: at(second),
            address: None,
        };
        change(store, second, |tx| {
            tx.set_last_connection(&x(), &key("rot00004"), &seen)
        });
        live(store)[1].1.unwrap()
    };
    assert_eq!(live(store)[1], kept("rot00004", Some(601)));
    assert_eq!(until(store, 560), at(660), "used: longer");
    assert_eq!(until(store, 530), at(660), "never shorter");
    assert_eq!(until(store, 659), at(751), "no longer than it may");
    assert_eq!(until(store, 751), at(751), "not once it has retired");
}

fn by_hand(store: &mut Store) {
    change(store, 600, |tx| {
        tx.begin_rotation(&x(), &password("rot00006", 19_456), &to_file(), true)
    });
    change(store, 601, |tx| {
        tx.retire_password(&x(), &key("rot00006")).map(|_| ())
    });
    assert_eq!(live(store), [kept("rot00005", None)]);
    assert!(store.unfinished(&x()).unwrap().is_none());
    assert_eq!(last(store).action, "user.retire");

    // The new one in an overlap: the old one stays in its place.
    rotate(store, 602, "rot00016", Retire::After(seconds(60)));
    assert_eq!(
        live(store),
        [kept("rot00016", None), kept("rot00005", Some(663))]
    );
    change(store, 605, |tx| {
        assert_eq!(tx.retire_password(&x(), &key("rot00016"))?, key("rot00005"));
        Ok(())
    });
    assert_eq!(live(store), [kept("rot00005", None)]);
    assert_eq!(
        last(store).fields.to_string(),
        r#"{"password_id":"rot00016","stays":"rot00005"}"#
    );
    tidy(store, 606);
    assert_eq!(
        live(store),
        [kept("rot00005", None)],
        "nothing retires any more"
    );

    // One that was not delivered to anybody leaves nothing behind.
    change(store, 606, |tx| {
        tx.begin_rotation(&x(), &password("rot00026", 19_456), &to_file(), false)
    });
    change(store, 606, |tx| {
        tx.cancel_rotation(&x(), &key("rot00026"), "it was stopped")?;
        tx.cancel_rotation(&x(), &key("rot00026"), "it was stopped")
    });
    assert!(store.unfinished(&x()).unwrap().is_none());
    assert_eq!(last(store).action, "rotation.withdraw");

    // The last one does not stop.
    let mut tx = store.begin(stamp(607)).unwrap();
    let refused = tx.retire_password(&x(), &key("rot00005"));
    assert!(
        matches!(refused, Err(Error::LastPassword(_))),
        "{refused:?}"
    );
    drop(tx);
    assert_eq!(live(store), [kept("rot00005", None)]);
}

/// As each run does.
fn tidy(store: &mut Store, second: i64) {
    change(store, second, |tx| {
        tx.fix_retirements()?;
        tx.record_expiries().map(|_| ())
    });
}

fn clocks(store: &mut Store) {
    // Made with a clock that is a year ahead.
    const AHEAD: i64 = 31_536_000;
    let until = OldPasswords::RetireAt(at(AHEAD + 90));
    change(store, AHEAD, |tx| {
        tx.reset_password(&x(), &password("rot00007", 19_456), until)
    });
    let mend = |store: &mut Store, second| {
        tidy(store, second);
        live(store)[1].1.unwrap()
    };
    assert_eq!(
        mend(store, AHEAD - 300),
        at(AHEAD + 90),
        "clocks differ a little"
    );
    assert_eq!(mend(store, 700), at(790), "its time, from now");
    assert_eq!(mend(store, 710), at(790), "once");

    change(store, AHEAD, |tx| {
        tx.begin_rotation(&x(), &password("rot00008", 19_456), &to_file(), false)?;
        tx.hand_over(&x(), &key("rot00008"), at(AHEAD + 65))?;
        Ok(())
    });
    for (second, expected) in [(AHEAD - 300, AHEAD), (711, 711), (712, 711)] {
        tidy(store, second);
        let found = store.unfinished(&x()).unwrap().unwrap();
        assert_eq!(found.began_at, at(expected));
        assert_eq!(found.settles_at, Some(at(expected + 65)));
    }
    change(store, 713, |tx| {
        tx.retire_password(&x(), &key("rot00008")).map(|_| ())
    });

    // Set back while a password was delivered: it ended before it began.
    change(store, AHEAD, |tx| {
        tx.begin_rotation(&x(), &password("rot00018", 19_456), &to_file(), true)
    });
    change(store, 714, |tx| {
        tx.leave_rotation(&x(), &key("rot00018"), "who knows")
    });
    tidy(store, 715);
    let found = store.unfinished(&x()).unwrap().unwrap();
    assert_eq!((found.began_at, found.settles_at), (at(715), Some(at(714))));
    change(store, 716, |tx| {
        tx.retire_password(&x(), &key("rot00018")).map(|_| ())
    });
}

/// A failed delivery leaves a reason, and no password; of a user that is gone, nothing.
fn refusing(store: &mut Store) {
    let before = live(store);
    let created = store.user(&x()).unwrap().unwrap().created_at;
    let count = events(store, &EventFilter::default()).len();
    change(store, 749, |tx| {
        let gone = "gone@example.com".parse().unwrap();
        tx.refuse_rotation(&gone, created, "no folder")?;
        let earlier = at(created.epoch() - 1);
        tx.refuse_rotation(&x(), earlier, "no folder")
    });
    assert_eq!(events(store, &EventFilter::default()).len(), count);
    assert!(store.unfinished(&x()).unwrap().is_none());
    for (second, reason) in [(750, "no folder"), (760, "no program")] {
        change(store, second, |tx| {
            tx.refuse_rotation(&x(), created, reason)
        });
        let found = store.unfinished(&x()).unwrap().unwrap();
        assert_eq!(found.stage, RotationStage::Withdrawn);
        assert_eq!(found.password_id, None);
        assert_eq!(found.began_at, at(750), "since then");
        assert_eq!(found.reason.as_deref(), Some(reason));
        assert_eq!(live(store), before);
    }
    change(store, 770, |tx| {
        tx.begin_rotation(&x(), &password("rot00099", 19_456), &to_file(), false)
    });
    // One that may have arrived is not forgotten for it.
    let count = events(store, &EventFilter::default()).len();
    change(store, 771, |tx| {
        tx.refuse_rotation(&x(), created, "no folder")
    });
    assert_eq!(events(store, &EventFilter::default()).len(), count);
    let found = store.unfinished(&x()).unwrap().unwrap();
    assert_eq!(found.password_id, Some(key("rot00099")));
    change(store, 772, |tx| {
        tx.cancel_rotation(&x(), &key("rot00099"), "stopped")
    });
    assert_eq!(live(store), before);
    assert!(store.unfinished(&x()).unwrap().is_none());
}

fn expiry(store: &mut Store) {
    let expires = |setting| UserChange {
        expires_at: Some(setting),
        ..UserChange::default()
    };
    change(store, 720, |tx| {
        tx.set_user(&x(), &expires(Setting::Some(at(730))))
    });
    let count = events(store, &EventFilter::default()).len();
    tidy(store, 729);
    assert_eq!(events(store, &EventFilter::default()).len(), count);
    tidy(store, 730);
    tidy(store, 731);
    assert_eq!(
        events(store, &EventFilter::default()).len(),
        count + 1,
        "once"
    );
    assert_eq!(last(store).action, "user.expired");
    assert_eq!(candidates(store, 729)[0].expires_at, Some(at(730)));
    change(store, 740, |tx| tx.set_user(&x(), &expires(Setting::None)));
}
