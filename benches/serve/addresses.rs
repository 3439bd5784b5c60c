//! Repeated good sign-ins of users with lists of allowed addresses, beside users without.

use std::path::Path;
use std::time::Duration;

use crate::ours::{Ours, SignIns, cheap_hash, good};
use crate::{Report, load, paired};

const USERS: u32 = 1000;
const PASSWORD: &str = "vague-Otter-61-h";
const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(2);
const GOAL: f64 = 0.95;

fn users() -> Ours {
    let ours = Ours::with_users(1);
    ours.add("new", USERS, cheap_hash(PASSWORD).as_str());
    ours
}

/// Lists this many networks for all users; the one that they use is among them.
fn listed(ours: &Ours, count: usize) {
    let networks: Vec<_> = (1..count)
        .map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
        .collect();
    let mut args = vec!["set-settings", "--quiet", "--addresses", "listed"];
    args.extend(["--allow", "192.0.2.0/24"]);
    for network in &networks {
        args.extend(["--allow", network]);
    }
    ours.sandbox.ok(&args);
}

pub fn measure(report: &mut Report) {
    let names: Vec<_> = (0..USERS).map(|i| format!("new-{i}@example.com")).collect();
    let sign_ins = SignIns::of(names.iter().map(|name| (&**name, PASSWORD)));
    let without = users();
    let serve = without.serve();
    sign_ins.all_at(&serve.auth);
    for networks in [1, 20, 1000] {
        let with = users();
        listed(&with, networks);
        let listing = with.serve();
        sign_ins.all_at(&listing.auth);
        for connections in [8, 64] {
            let rate = |socket: &Path| {
                let mut source = sign_ins.repeated();
                let set = good(socket, connections, &mut source);
                load::rates(&mut [set], WARM_UP, WINDOW)[0]
            };
            let rates = paired(|| rate(&listing.auth), || rate(&serve.auth));
            let what =
                format!("sign-ins, {connections} at once, {networks} allowed networks / none");
            report.rates(&what, rates, GOAL);
        }
    }
}
