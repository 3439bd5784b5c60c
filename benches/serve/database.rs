//! Repeated good sign-ins with the store in PostgreSQL, on a socket of the same
//! machine, beside the same with a file.

use std::path::Path;
use std::time::Duration;

use crate::ours::{Ours, SignIns, good};
use crate::support::postgres::Postgres;
use crate::{Report, load, paired};

const USERS: usize = 100;
const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(2);
const GOAL: f64 = 10_000.0;

pub fn measure(report: &mut Report) {
    let server = Postgres::start();
    let there = Ours::in_sandbox(server.sandbox_with_domain(), USERS);
    let here = Ours::with_users(USERS);
    let sign_ins = [&there, &here].map(|ours| SignIns::users(&ours.users));
    let relays = [&there, &here].map(Ours::serve);
    for (sign_ins, serve) in sign_ins.iter().zip(&relays) {
        sign_ins.all_at(&serve.auth);
    }
    let rate = |sign_ins: &SignIns, socket: &Path, connections| {
        let mut source = sign_ins.repeated();
        let set = good(socket, connections, &mut source);
        load::rates(&mut [set], WARM_UP, WINDOW)[0]
    };
    for connections in [1, 8, 64, 512] {
        let rates = paired(
            || rate(&sign_ins[0], &relays[0].auth, connections),
            || rate(&sign_ins[1], &relays[1].auth, connections),
        );
        let what = format!("repeated sign-ins, {connections} at once, PostgreSQL / SQLite");
        // Who asks alone waits for each answer: promised is what a relay can do.
        let goal = if connections == 1 { 0.0 } else { GOAL };
        report.rate(&what, rates, goal);
    }
}
