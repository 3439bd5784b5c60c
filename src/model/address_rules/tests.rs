use super::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Time {
    Time::from_epoch(1_800_000_000 + day * DAY)
}

fn rules(mode: &str, unknown: &str, allowed: &[&str]) -> AddressRules {
    let network = |text: &&str| AllowedNetwork {
        network: text.parse().unwrap(),
        learned: false,
        added_at: at(0),
    };
    AddressRules {
        mode: mode.parse().ok(),
        unknown: unknown.parse().ok(),
        learn: None,
        learning_since: None,
        allowed: allowed.iter().map(network).collect(),
    }
}

fn judge(rules: &[AddressRules; 3], address: &str, day: i64) -> AddressVerdict {
    let policy = AddressPolicy::nearest(rules, at(0));
    policy.judge(
        address.parse().ok(),
        &["10.0.0.0/8".parse().unwrap()],
        at(day),
    )
}

fn none() -> AddressRules {
    AddressRules::default()
}

#[test]
fn each_rule_decides_about_listed_and_other_addresses() {
    use AddressVerdict::{Accept, AcceptAndTell, Refuse};
    let list = &["192.0.2.0/24", "2001:db8::/64"];
    for (mode, unknown, other, without) in [
        ("", "", AcceptAndTell, Accept),
        ("any", "", AcceptAndTell, Accept),
        ("any", "allow", Accept, Accept),
        // All addresses are allowed, so none is refused.
        ("any", "refuse", AcceptAndTell, Accept),
        ("listed", "", Refuse, Refuse),
        ("listed", "allow", Accept, Accept),
        ("listed", "alert", AcceptAndTell, Accept),
        ("listed", "refuse", Refuse, Refuse),
    ] {
        let verdict = |address| judge(&[rules(mode, unknown, list), none(), none()], address, 1);
        assert_eq!(verdict("203.0.113.9"), other, "{mode} {unknown}");
        assert_eq!(verdict("2001:db8:1::1"), other, "{mode} {unknown}");
        assert_eq!(verdict("unknown"), without, "{mode} {unknown}");
        for known in ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::7", "10.1.2.3"] {
            assert_eq!(verdict(known), Accept, "{mode} {unknown} {known}");
        }
    }
}

#[test]
fn the_nearest_owner_decides_and_lists_add_up() {
    let all = [
        rules("", "", &["192.0.2.0/24"]),
        rules("listed", "", &["198.51.100.0/24"]),
        rules("any", "alert", &["203.0.113.0/24"]),
    ];
    for (address, verdict) in [
        ("192.0.2.1", AddressVerdict::Accept),
        ("198.51.100.1", AddressVerdict::Accept),
        ("203.0.113.1", AddressVerdict::Accept),
        // `listed` is the domain's, `alert` the installation's.
        ("192.0.3.1", AddressVerdict::AcceptAndTell),
    ] {
        assert_eq!(judge(&all, address, 1), verdict, "{address}");
    }
}

#[test]
fn addresses_are_learned_for_a_time_and_then_listed() {
    let learn = [rules("learn", "", &["192.0.2.0/24"]), none(), none()];
    let verdict = |day, address| judge(&learn, address, day);
    let learned = AddressVerdict::Learn { tell: true };
    assert_eq!(verdict(29, "203.0.113.1"), learned);
    assert_eq!(verdict(29, "192.0.2.1"), AddressVerdict::Accept);
    assert_eq!(verdict(29, "10.0.0.1"), AddressVerdict::Accept, "ignored");
    assert_eq!(verdict(29, "unknown"), AddressVerdict::Accept);
    assert_eq!(verdict(30, "203.0.113.1"), AddressVerdict::Refuse);
    assert_eq!(verdict(30, "unknown"), AddressVerdict::Refuse);
    let mut quiet = learn.clone();
    quiet[2].unknown = Some(UnknownAddress::Allow);
    let quiet = |day| judge(&quiet, "203.0.113.1", day);
    assert_eq!(quiet(1), AddressVerdict::Learn { tell: false });
    assert_eq!(quiet(31), AddressVerdict::Accept);
}

#[test]
fn a_change_begins_the_learning_anew() {
    let change = |mode: Option<&str>, learn: Option<&str>| AddressChange {
        mode: mode.map(|mode| mode.parse().unwrap()),
        learn: learn.map(|learn| learn.parse().unwrap()),
        ..AddressChange::default()
    };
    let mut of_domain = none();
    of_domain.change(&change(Some("learn"), Some("10d")), at(5));
    let until = |of_domain: &AddressRules, created| {
        let all = [none(), of_domain.clone(), none()];
        AddressPolicy::nearest(&all, at(created)).learning_until
    };
    assert_eq!(until(&of_domain, 0), Some(at(15)));
    assert_eq!(until(&of_domain, 8), Some(at(18)), "a user created later");
    of_domain.change(&change(None, Some("none")), at(6));
    assert_eq!(until(&of_domain, 0), Some(at(36)));
    of_domain.change(&change(Some("listed"), None), at(7));
    assert_eq!(of_domain.learning_since, None);
    assert_eq!(until(&of_domain, 0), None);
}

#[test]
fn an_owner_that_does_not_decide_does_not_end_the_learning() {
    let learn = |learn: &str| AddressChange {
        learn: Some(learn.parse().unwrap()),
        ..AddressChange::default()
    };
    let mut of_user = none();
    // Before anyone wanted to learn.
    of_user.change(&learn("60d"), at(0));
    let mut of_domain = none();
    let mode = Some("learn".parse().unwrap());
    let change = AddressChange {
        mode,
        ..AddressChange::default()
    };
    of_domain.change(&change, at(365));
    let until = |user: &AddressRules, domain: &AddressRules| {
        AddressPolicy::nearest(&[user.clone(), domain.clone(), none()], at(0)).learning_until
    };
    assert_eq!(until(&of_user, &of_domain), Some(at(365 + 60)));
    of_user.change(&learn("90d"), at(400));
    assert_eq!(until(&of_user, &of_domain), Some(at(400 + 90)));
}
