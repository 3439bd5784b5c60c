//! Repeated good sign-ins, beside Dovecot and its cache, and beside a server that decides
//! nothing.

use std::path::Path;
use std::time::Duration;

use crate::echo::Echo;
use crate::ours::{Ours, SignIns, good};
use crate::peers::Dovecot;
use crate::{Report, load, paired};

const USERS: usize = 100;
const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(2);
/// Of a server that hashes each time: answers are 30 ms apart.
const LONG: Duration = Duration::from_secs(4);

pub fn measure(report: &mut Report) {
    let ours = Ours::with_users(USERS);
    let sign_ins = SignIns::users(&ours.users);
    let serve = ours.serve();
    let users = || ours.users.iter();
    // The cheapest there is: the password as it is, compared.
    let plain = Dovecot::start(users().map(|u| (&*u.name, format!("{{PLAIN}}{}", u.password))));
    // What it has to do for passwords that are kept as safe as ours.
    let argon2 =
        Dovecot::start(users().map(|u| (&*u.name, format!("{{ARGON2ID}}{}", ours.hash_of(u)))));
    for socket in [&serve.auth, &plain.socket] {
        sign_ins.all_at(socket);
    }

    let rate = |socket: &Path, connections, window| {
        let mut source = sign_ins.repeated();
        let set = good(socket, connections, &mut source);
        load::rates(&mut [set], WARM_UP, window)[0]
    };
    for (connections, goal) in [(1, 3.0), (8, 3.0), (64, 5.0), (512, 5.0)] {
        let rates = paired(
            || rate(&serve.auth, connections, WINDOW),
            || rate(&plain.socket, connections, WINDOW),
        );
        let what = format!("repeated sign-ins, {connections} at once / Dovecot {{PLAIN}}, cache");
        report.rates(&what, rates, goal);
    }
    for connections in [1, 8] {
        let rates = paired(
            || rate(&serve.auth, connections, WINDOW),
            || rate(&argon2.socket, connections, LONG),
        );
        let what =
            format!("repeated sign-ins, {connections} at once / Dovecot {{ARGON2ID}}, cache");
        report.rates(&what, rates, 500.0);
    }
    let echo = Echo::start(ours.sandbox.folder.path());
    for connections in [1, 8, 64, 512] {
        let rates = paired(
            || rate(&serve.auth, connections, WINDOW),
            || rate(&echo.socket, connections, WINDOW),
        );
        let what =
            format!("repeated sign-ins, {connections} at once / a server that decides nothing");
        report.rates(&what, rates, 0.80);
    }
}
