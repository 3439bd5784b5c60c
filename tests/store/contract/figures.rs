//! The part of the story about what the page of a report counts: the figures are as the users are.

use std::collections::BTreeMap;

use smtpcred::model::time::Time;
use smtpcred::model::user::User;
use smtpcred::store::{FigureRange, Page, Store, UserFilter};

use super::at;

const DAY: i64 = 86_400;
const WEEKS: u16 = 12;

pub fn story(store: &mut Store) {
    // Passwords and sign-ins of different ages, and expiries ahead.
    let [mut ages, mut expiries, mut sign_ins] = [0, 0, 0];
    for days in [0, 1, 20, 400] {
        let counts = figures_are_as_the_users(store, at(days * DAY));
        ages += counts[0];
        expiries += counts[1];
        sign_ins += counts[2];
    }
    assert!(
        ages > 0 && expiries > 0 && sign_ins > 0,
        "{ages} {expiries} {sign_ins}"
    );
}

fn figures_are_as_the_users(store: &mut Store, now: Time) -> [u64; 3] {
    let range = FigureRange {
        now,
        first_day: at(0),
        networks_since: at(0),
        weeks: WEEKS,
        networks: 2,
    };
    let figures = store.figures(range).unwrap();
    let users = everyone(store, now);
    let live = users
        .iter()
        .filter(|user| user.suspended_at.is_none() && user.expires_at.is_none_or(|at| at > now));
    let made = live.filter_map(|user| {
        let stay = user
            .passwords
            .iter()
            .filter(|p| !p.erased && p.retires_at.is_none());
        stay.map(|p| p.created_at).max()
    });
    let ages = tally(made.map(|made| (now.epoch() - made.epoch()) / DAY));
    assert_eq!(figures.ages, ages, "at {now}");

    let ahead = i64::from(WEEKS) * 7 * DAY;
    let left = users
        .iter()
        .filter(|user| user.suspended_at.is_none())
        .filter_map(|user| Some(user.expires_at?.epoch() - now.epoch()))
        .filter(|left| (1..=ahead).contains(left));
    let expiries = tally(left.map(|left| left / (7 * DAY)));
    assert_eq!(figures.expiries, expiries, "at {now}");

    let sum = |counts: &[(u64, u64)]| counts.iter().map(|(_, count)| count).sum();
    let networks = &figures.networks;
    assert!(networks.len() <= 2 && figures.all_networks >= networks.len() as u64);
    assert!(networks.is_sorted_by(|one, next| one.sign_ins >= next.sign_ins));
    let signed_in = |user: &&User| {
        let all = user
            .passwords
            .iter()
            .chain(user.temporary.iter().map(|one| &one.password));
        all.filter_map(|p| p.last_connection.as_ref())
            .any(|last| last.at >= at(0))
    };
    let signed_in = users.iter().filter(signed_in).count() as u64;
    assert!(sum(&figures.last_sign_ins) >= signed_in, "at {now}");
    [sum(&ages), sum(&expiries), signed_in]
}

/// Counts each number; what a wrong clock put into the future is 0.
fn tally(numbers: impl Iterator<Item = i64>) -> Vec<(u64, u64)> {
    let mut counts = BTreeMap::new();
    for number in numbers {
        *counts
            .entry(u64::try_from(number).unwrap_or(0))
            .or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn everyone(store: &mut Store, now: Time) -> Vec<User> {
    let mut users = Vec::new();
    let mut push = |user| {
        users.push(user);
        Ok(())
    };
    let all = UserFilter::default();
    store.users(&all, &Page::default(), now, &mut push).unwrap();
    users
}
