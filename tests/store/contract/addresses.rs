//! From where users may sign in, and from where they did.

use smtpcred::error::Error;
use smtpcred::model::address_rules::{
    AddressChange, AddressMode, AddressPolicy, AddressRules, MOST_ALLOWED, MOST_LEARNED,
    UnknownAddress,
};
use smtpcred::model::event::Action;
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::network::Network;
use smtpcred::model::password::PasswordId;
use smtpcred::model::setting::Setting;
use smtpcred::store::{
    DomainChange, EventFilter, NetworkUse, Scope, SettingsChange, Store, UserChange,
};

use super::{at, change, new_user, password};

const NOON: i64 = 4_100_000;

fn domain() -> DomainName {
    "addresses.example".parse().unwrap()
}

fn x() -> Username {
    "x@addresses.example".parse().unwrap()
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn of_user(addresses: AddressChange) -> UserChange {
    UserChange {
        addresses,
        ..UserChange::default()
    }
}

fn of_domain(addresses: AddressChange) -> DomainChange {
    DomainChange {
        addresses,
        ..DomainChange::default()
    }
}

fn no_rules() -> [AddressRules; 3] {
    std::array::from_fn(|_| AddressRules::default())
}

pub fn story(store: &mut Store) {
    change(store, NOON, |tx| {
        tx.add_domain(&domain(), &DomainChange::default())?;
        tx.add_user(&new_user(&x()), &password("address1", 19_456))
    });
    let row = store.sign_in_row(&x()).unwrap().unwrap();
    assert!(!row.has_address_rules && row.created_at == at(NOON));
    rules(store);
    lists(store);
    learned(store);
    uses(store);
    change(store, NOON + 90, |tx| {
        tx.delete_user(&x())?;
        tx.remove_domain(&domain())
    });
    let left = store.address_rules(&x()).unwrap();
    assert_eq!(left, no_rules(), "rules go with their owners");
    assert!(store.network_uses(&x()).unwrap().is_empty());
}

fn rules(store: &mut Store) {
    change(store, NOON + 10, |tx| {
        tx.set_user(
            &x(),
            &of_user(AddressChange {
                mode: Some(Setting::Some(AddressMode::Learn)),
                ..AddressChange::default()
            }),
        )?;
        tx.set_domain(
            &domain(),
            &of_domain(AddressChange {
                learn: Some("10d".parse().unwrap()),
                unknown: Some(Setting::Some(UnknownAddress::Alert)),
                ..AddressChange::default()
            }),
        )?;
        tx.set_settings(&SettingsChange {
            addresses: AddressChange {
                mode: Some(Setting::Some(AddressMode::Listed)),
                allow: networks(&["10.0.0.0/8"]),
                ..AddressChange::default()
            },
            ignore_addresses: Some(networks(&["192.0.2.1", "2001:db8::/64"])),
            ..SettingsChange::default()
        })
    });
    assert!(store.sign_in_row(&x()).unwrap().unwrap().has_address_rules);
    let rules = store.address_rules(&x()).unwrap();
    let shared = store.shared_address_rules(&domain()).unwrap();
    assert_eq!(shared, rules[1..]);
    let policy = AddressPolicy::nearest(&rules, at(NOON));
    assert_eq!(policy.mode, AddressMode::Learn);
    assert_eq!(policy.unknown, UnknownAddress::Alert);
    assert_eq!(policy.learning_until, Some(at(NOON + 10 + 864_000)));
    assert!(policy.lists("10.1.1.1".parse().unwrap()));
    let ignored = store.settings().unwrap().ignore_addresses;
    assert_eq!(ignored, networks(&["192.0.2.1", "2001:db8::/64"]));
    let owners = [Scope::user(&x()).name().to_owned(), domain().to_string()];
    assert_eq!(owners[0], x().to_string());
    let event = super::events(store, &EventFilter::default()).pop().unwrap();
    assert_eq!(event.action, Action::SettingsSet.name());
    assert_eq!(event.fields["allow"], serde_json::json!(["10.0.0.0/8"]));
    assert_eq!(event.fields["addresses"], "listed");

    change(store, NOON + 11, |tx| {
        let nothing = AddressChange {
            mode: Some(Setting::None),
            disallow: networks(&["0.0.0.0/0"]),
            ..AddressChange::default()
        };
        tx.set_settings(&SettingsChange {
            addresses: nothing.clone(),
            ignore_addresses: Some(Vec::new()),
            ..SettingsChange::default()
        })?;
        tx.set_user(&x(), &of_user(nothing.clone()))?;
        let nothing = AddressChange {
            learn: Some(Setting::None),
            unknown: Some(Setting::None),
            ..nothing
        };
        tx.set_domain(&domain(), &of_domain(nothing))
    });
    assert_eq!(store.address_rules(&x()).unwrap(), no_rules());
    assert!(store.settings().unwrap().ignore_addresses.is_empty());
    assert!(!store.sign_in_row(&x()).unwrap().unwrap().has_address_rules);
}

fn lists(store: &mut Store) {
    let allow = |texts: &[&str]| {
        of_user(AddressChange {
            allow: networks(texts),
            ..AddressChange::default()
        })
    };
    change(store, NOON + 20, |tx| {
        tx.set_user(
            &x(),
            &allow(&["192.0.2.0/24", "192.0.2.7", "192.0.2.7", "2001:db8::/64"]),
        )
    });
    let own = |store: &mut Store| -> Vec<Network> {
        let rules = store.own_address_rules(Scope::user(&x())).unwrap();
        rules.allowed.iter().map(|one| one.network).collect()
    };
    let all = networks(&["192.0.2.0/24", "192.0.2.7", "2001:db8::/64"]);
    assert_eq!(own(store), all, "also what overlaps");
    let disallow = of_user(AddressChange {
        disallow: networks(&["192.0.2.0/25"]),
        ..AddressChange::default()
    });
    change(store, NOON + 21, |tx| tx.set_user(&x(), &disallow));
    assert_eq!(own(store), networks(&["192.0.2.0/24", "2001:db8::/64"]));

    let many: Vec<_> = (0..MOST_ALLOWED)
        .map(|n| format!("10.0.{}.{}", n / 256, n % 256))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let mut tx = store.begin(super::stamp(NOON + 22)).unwrap();
    let refused = tx.set_user(&x(), &allow(&many));
    assert!(matches!(refused, Err(Error::TooManyAddresses { .. })));
    drop(tx);
    change(store, NOON + 23, |tx| {
        tx.set_user(&x(), &allow(&many[..MOST_ALLOWED - 2]))
    });
    assert_eq!(own(store).len(), MOST_ALLOWED);
    let disallow = of_user(AddressChange {
        disallow: networks(&["10.0.0.0/8"]),
        ..AddressChange::default()
    });
    change(store, NOON + 24, |tx| tx.set_user(&x(), &disallow));
    let rules = store.rules_of_users(&[&x()]).unwrap().pop().flatten();
    assert_eq!(rules.unwrap().addresses.allowed.len(), 2);
}

fn learned(store: &mut Store) {
    let before = store.last_event().unwrap();
    let one: Network = "192.0.2.0/24".parse().unwrap();
    change(store, NOON + 30, |tx| {
        // Given already; and of a user that does not exist.
        tx.learn_network(&x(), one)?;
        tx.learn_network(&"nobody@addresses.example".parse().unwrap(), one)?;
        for n in 0..=MOST_LEARNED {
            tx.learn_network(&x(), format!("172.16.{n}.0/24").parse().unwrap())?;
        }
        Ok(())
    });
    assert_eq!(store.last_event().unwrap(), before);
    let rules = store.own_address_rules_of(&[Scope::user(&x())]).unwrap();
    let learned = rules[0].allowed.iter().filter(|one| one.learned);
    assert_eq!(learned.count(), MOST_LEARNED);
    assert_eq!(rules[0].given().count(), 2);
    // What was learned can be given, and is then no longer learned.
    let allow = of_user(AddressChange {
        allow: networks(&["172.16.0.0/24"]),
        ..AddressChange::default()
    });
    change(store, NOON + 31, |tx| tx.set_user(&x(), &allow));
    let rules = store.own_address_rules(Scope::user(&x())).unwrap();
    assert_eq!(rules.given().count(), 3);
}

fn uses(store: &mut Store) {
    let id = PasswordId::stored("address1".into());
    let used = |network: &str, address: &str, first: i64, last: i64, sign_ins| NetworkUse {
        network: network.parse().unwrap(),
        address: address.parse().unwrap(),
        first_at: at(NOON + first),
        last_at: at(NOON + last),
        sign_ins,
    };
    change(store, NOON + 40, |tx| {
        tx.add_network_use(&x(), &id, &used("192.0.2.0/24", "192.0.2.7", 40, 41, 2))?;
        tx.add_network_use(&x(), &id, &used("192.0.2.0/24", "192.0.2.9", 42, 43, 3))?;
        tx.add_network_use(&x(), &id, &used("2001:db8::/64", "2001:db8::1", 50, 50, 1))?;
        let gone = PasswordId::stored("gone".into());
        tx.add_network_use(&x(), &gone, &used("10.0.0.0/24", "10.0.0.1", 40, 40, 1))
    });
    let found = store.network_uses(&x()).unwrap();
    let expected = [
        (id.clone(), used("192.0.2.0/24", "192.0.2.9", 40, 43, 5)),
        (id.clone(), used("2001:db8::/64", "2001:db8::1", 50, 50, 1)),
    ];
    assert_eq!(found, expected);
    let (x, other) = (x(), "10.0.0.0/24".parse().unwrap());
    let known = [(&x, expected[0].1.network), (&x, other)];
    let last = store.last_network_uses(&known).unwrap();
    assert_eq!(last, [Some(at(NOON + 43)), None]);
    for (since, networks) in [(0, 2), (NOON + 44, 1), (NOON + 51, 0)] {
        assert_eq!(store.networks_since(&[&x], at(since)).unwrap(), [networks]);
    }
    change(store, NOON + 60, |tx| {
        for n in 0..300 {
            let (a, b) = (n / 256, n % 256);
            let network = format!("172.{a}.{b}.0/24");
            let address = format!("172.{a}.{b}.1");
            let second = 100 + i64::from(n);
            tx.add_network_use(&x, &id, &used(&network, &address, second, second, 1))?;
        }
        tx.forget_network_uses(&x)
    });
    let found = store.network_uses(&x).unwrap();
    assert_eq!(found.len(), 256);
    assert!(found.iter().all(|(_, one)| one.last_at >= at(NOON + 144)));
}
