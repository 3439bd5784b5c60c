//! Sign-ins that have to be hashed, and the others meanwhile.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use smtpcred::model::hash::{Hash, Hasher};

use crate::load;
use crate::ours::{Ours, SignIns, good};
use crate::{Report, paired};

/// This program again, as one that hashes and does nothing else.
pub const LOOP: &str = "hash-only";
const WARM_UP: Duration = Duration::from_secs(1);
const HASHED: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(3);
/// More than the machine can hash in all rounds.
const STRANGERS: u32 = 20_000;
/// Connections that sign in for the first time: the workers always have a next
/// one, and none has to wait so long that it is hung up, whoever else is busy.
const HASHING: usize = 16;

pub fn measure(report: &mut Report) {
    let ours = Ours::with_users(100);
    let (user, hash) = (&ours.users[0], ours.hash_of(&ours.users[0]));
    ours.add("new", STRANGERS, &hash);
    let strangers: Vec<_> = (0..STRANGERS)
        .map(|i| format!("new-{i}@example.com"))
        .collect();
    let new = SignIns::of(strangers.iter().map(|name| (&**name, &*user.password)));
    let serve = ours.serve();

    let mut source = new.once();
    let (served, pure) = paired(
        || {
            load::rates(
                &mut [good(&serve.auth, HASHING, &mut source)],
                WARM_UP,
                HASHED,
            )[0]
        },
        || hash_only(&user.password, &hash),
    );
    assert!(served < 1.2 * pure, "{served}/s: they were not hashed");
    let what = "first sign-ins / only Argon2id on all processors";
    report.rates(what, (served, pure), 0.95);

    let known = SignIns::users(&ours.users);
    known.all_at(&serve.auth);
    let mut hashed = Vec::new();
    let (mut calm, mut busy) = (known.repeated(), known.repeated());
    let rates = paired(
        || {
            let first = good(&serve.auth, HASHING, &mut source);
            let both = &mut [good(&serve.auth, 64, &mut busy), first];
            let rates = load::rates(both, WARM_UP, WINDOW);
            hashed.push(rates[1]);
            rates[0]
        },
        || load::rates(&mut [good(&serve.auth, 64, &mut calm)], WARM_UP, WINDOW)[0],
    );
    assert!(hashed.iter().all(|rate| *rate > 0.0), "nobody hashed");
    report.rates(
        "repeated sign-ins while all workers hash / idle",
        rates,
        0.80,
    );
    println!(
        "       (and {} first ones a second)",
        crate::short(crate::median(hashed))
    );
}

/// What the processors give if they do nothing else, at the priority that the
/// workers have.
fn hash_only(password: &str, hash: &str) -> f64 {
    let this = std::env::current_exe().expect("this program");
    let output = Command::new("nice")
        .args(["-n", "10"])
        .arg(this)
        .args([LOOP, password, hash])
        .output()
        .expect("nice, of coreutils");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("a number");
    text.trim().parse().expect("a number")
}

/// That process: how many a second.
pub fn hash_and_tell() {
    let mut args = std::env::args().skip_while(|arg| arg != LOOP).skip(1);
    let password = args.next().expect("a password");
    let hash = Hash::stored(&args.next().expect("a hash")).expect("a hash");
    let threads = available_parallelism().expect("processors").get();
    let counted = AtomicU32::new(0);
    let start = Instant::now();
    let (from, until) = (start + WARM_UP, start + WARM_UP + HASHED);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut hasher = Hasher::default();
                loop {
                    assert!(hasher.verify(password.as_bytes(), &hash).expect("memory"));
                    let now = Instant::now();
                    if now >= until {
                        return;
                    }
                    if now >= from {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    println!("{}", f64::from(counted.into_inner()) / HASHED.as_secs_f64());
}
