//! Very many users each sign in twice: the second time no password is hashed.
//!
//! Their hashes have the lowest cost, or the first round would take hours. The second round
//! is compared with first sign-ins at the program's own cost.

use std::time::Instant;

use crate::memory::{settle, without_argon2};
use crate::ours::{Ours, Serve, SignIns, cheap_hash};
use crate::{Report, short};

const USERS: u32 = 500_000;
const PASSWORD: &str = "vague-Otter-61-h";
/// Enough to keep all workers busy for a while.
const AT_FULL_COST: usize = 100;
/// KiB for all users.
const MEMORY: f64 = 100.0 * 1024.0;
const GOAL: f64 = 50.0;

pub fn measure(report: &mut Report) {
    let hash = cheap_hash(PASSWORD);
    let ours = Ours::with_users(AT_FULL_COST);
    ours.add("new", USERS, hash.as_str());
    let names: Vec<_> = (0..USERS).map(|i| format!("new-{i}@example.com")).collect();
    let many = SignIns::of(names.iter().map(|name| (&**name, PASSWORD)));
    let few = SignIns::users(&ours.users);

    let serve = ours.serve();
    settle();
    let idle = without_argon2(serve.running.pid());
    let full = rate(&few, &serve, AT_FULL_COST);
    let rates = [(); 2].map(|()| rate(&many, &serve, USERS as usize));
    settle();
    let grown = without_argon2(serve.running.pid()) - idle;

    let what = "500,000 users, second round / first sign-ins at full cost";
    report.rates(what, (rates[1], full), GOAL);
    println!(
        "       (and {}/s in the first round, with m=8,t=1,p=1)",
        short(rates[0])
    );
    let what = "memory, for 500,000 users that are remembered";
    report.size(what, grown, None, MEMORY);
}

/// Signs each user in once, and returns the sign-ins a second.
fn rate(sign_ins: &SignIns, serve: &Serve, count: usize) -> f64 {
    let start = Instant::now();
    sign_ins.all_at(&serve.auth);
    f64::from(u32::try_from(count).expect("few")) / start.elapsed().as_secs_f64()
}
