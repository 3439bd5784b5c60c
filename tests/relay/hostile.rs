//! A relay among mail servers that are many, slow, broken, or passing on
//! attacks. Figures are printed with `cargo test --test relay hostile -- --nocapture`.

mod mistyped;
mod remembered;

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::relay::{Client, auth_socket, percentile, policy_socket, request, until};
use crate::support::{Sandbox, relay};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";

/// As many files as this process may have.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, most).expect("below the maximum");
}

fn signs_in(client: &mut Client, password: &str) -> Duration {
    let begun = Instant::now();
    client.sign_in(1, SHOP, password, HOME);
    assert_eq!(
        client.line().as_deref(),
        Some("OK\t1\tuser=shop@example.com")
    );
    begun.elapsed()
}

#[test]
fn a_thousand_that_say_nothing_or_half_a_line_harm_nobody() {
    allow_files();
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut idle: Vec<Client> = (0..1000).map(|_| Client::auth(&sandbox)).collect();
    let (head, tail) = ("AUTH\t1\tLOGIN\tsec", "ured\n");
    for client in idle.iter_mut().step_by(10) {
        assert!(client.send(head.as_bytes()));
    }
    let mut client = Client::auth(&sandbox);
    signs_in(&mut client, &password);
    let mut times: Vec<_> = (0..200).map(|_| signs_in(&mut client, &password)).collect();
    let (p99, memory) = (percentile(&mut times, 99), relay.memory());
    println!("beside 1000 connections: p99 {p99:?}, {memory} KiB");
    assert!(p99 < Duration::from_secs(1), "{p99:?}");
    // Nobody was hung up on, and half a line goes on where it was.
    for client in idle.iter_mut().step_by(10) {
        assert!(client.send(tail.as_bytes()));
        assert_eq!(client.line().as_deref(), Some("CONT\t1\tVXNlcm5hbWU6"));
    }
    assert!(idle[1].unasked(Duration::from_millis(50)).is_none());
    assert!(memory < 200 * 1024, "{memory} KiB");
}

#[test]
fn who_never_reads_is_hung_up_on() {
    const MOST: usize = 64 * 1024 * 1024;
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut good = Client::auth(&sandbox);
    signs_in(&mut good, &password);
    let lines: [String; 2] = [
        (1..=50)
            .map(|id| request(id, SHOP, &password, HOME))
            .collect(),
        "protocol_state=RCPT\nsasl_username=shop@example.com\nsender=a@b.example\n\n".repeat(50),
    ];
    for (mut deaf, lines) in [Client::auth(&sandbox), Client::policy(&sandbox)]
        .into_iter()
        .zip(lines)
    {
        let mut sent = 0;
        while sent < MOST && deaf.send(lines.as_bytes()) {
            sent += lines.len();
            signs_in(&mut good, &password);
        }
        println!("hung up after {sent} bytes");
        assert!(sent < MOST, "it goes on answering nobody");
    }
    assert!(relay.memory() < 200 * 1024, "{} KiB", relay.memory());
}

#[test]
fn endless_lines_take_no_memory() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut good = Client::auth(&sandbox);
    signs_in(&mut good, &password);
    let before = relay.memory();
    let megabyte = vec![b'a'; 1 << 20];
    for _ in 0..50 {
        for mut client in [Client::auth(&sandbox), Client::policy(&sandbox)] {
            // It may hang up before it has all.
            let _ = client.send(&megabyte);
            assert_eq!(client.line(), None);
        }
    }
    // Just below the limit, and kept.
    let mut long: Vec<Client> = (0..200).map(|_| Client::auth(&sandbox)).collect();
    assert!(
        long.iter_mut()
            .all(|client| client.send(&megabyte[..32 * 1024]))
    );
    signs_in(&mut good, &password);
    let after = relay.memory();
    println!("{before} KiB before, {after} KiB after");
    assert!(
        after < before + 50 * 1024,
        "{before} KiB before, {after} KiB after"
    );
}

#[test]
fn beyond_the_limit_of_files_the_idle_ones_go() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let limited = ["sh", "-c", "ulimit -n 128; exec \"$@\"", "sh"];
    let relay = relay::start(&sandbox, &limited, &[]);
    let mut waits = Client::auth(&sandbox);
    waits.sign_in(9, "nobody@example.com", "x", "203.0.113.1");
    until("its check", relay::PATIENCE, || {
        relay.count("sign-in refused") > 0
    });
    let mut idle: Vec<Client> = (0..300).map(|_| Client::auth(&sandbox)).collect();
    // Each was greeted; the first ones are gone, the last one is served.
    assert_eq!(idle[0].line(), None);
    signs_in(idle.last_mut().unwrap(), &password);
    // Who waits for an answer is not in the way.
    assert_eq!(waits.line().as_deref(), Some("FAIL\t9"));
    let kept: Vec<bool> = idle
        .iter_mut()
        .map(|client| client.unasked(Duration::from_millis(1)).is_none())
        .collect();
    let (count, last) = (
        kept.iter().filter(|kept| **kept).count(),
        kept.iter().rposition(|kept| !kept),
    );
    println!("{count} of 300 were kept under a limit of 128 files, the last to go was {last:?}");
    assert!(count > 40, "{count}");
    assert_eq!(relay.count("cannot accept"), 0);
}

struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_of_wrong_passwords_from_elsewhere_delays_nobody() {
    const LASTS: Duration = Duration::from_secs(6);
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let another = sandbox.create("another@example.com");
    let relay = relay::start(&sandbox, &[], &[]);
    let mut good = Client::auth(&sandbox);
    signs_in(&mut good, &password);
    let (stop, tried) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut times, most, (first, asked)) = std::thread::scope(|scope| {
        // Or the others would go on where this one fails.
        let _end = AtEnd(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let socket = UnixStream::connect(auth_socket(&sandbox)).expect("it listens");
                    let Some(mut client) = Client::greeted(socket) else {
                        continue;
                    };
                    let n = tried.fetch_add(60, Ordering::Relaxed);
                    let lines: String = (0..60)
                        .map(|i| {
                            // Half of them at somebody who is there.
                            let user = if i % 2 == 0 {
                                SHOP
                            } else {
                                "nobody@example.com"
                            };
                            request(
                                i + 1,
                                user,
                                &format!("guess {}", n + u64::from(i)),
                                "203.0.113.66",
                            )
                        })
                        .collect();
                    let _ = client.send(lines.as_bytes());
                    // Until it is hung up on; some are answered before.
                    while !stop.load(Ordering::Relaxed) {
                        match client.unasked(Duration::from_millis(100)) {
                            Some(bytes) if bytes.is_empty() => break,
                            _ => {}
                        }
                    }
                }
            });
        }
        let begun = Instant::now();
        let mut times = Vec::new();
        let (mut most, mut asked) = (0, 0);
        let mut first = None;
        while begun.elapsed() < LASTS {
            times.push(signs_in(&mut good, &password));
            most = most.max(relay.memory());
            if first.is_none() && begun.elapsed() > LASTS / 2 {
                // Somebody who was not seen since the relay began may be put off
                // by the queue for hashes, but is never told "wrong".
                let first_try = Instant::now();
                let answer = std::iter::repeat_with(|| {
                    asked += 1;
                    let mut client = Client::auth(&sandbox);
                    client.sign_in(1, "another@example.com", &another, "192.0.2.2");
                    client.line()
                });
                let answer = answer.flatten().next();
                assert_eq!(answer.as_deref(), Some("OK\t1\tuser=another@example.com"));
                first = Some(first_try.elapsed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        (times, most, (first, asked))
    });
    let tried = tried.into_inner();
    let per_second = tried / LASTS.as_secs();
    let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(&mut times, percent));
    println!(
        "beside {per_second} wrong passwords a second: {} sign-ins, p50 {p50:?}, p99 {p99:?}, max {max:?}, \
        a first one after {first:?} \
        (asked {asked} times), {most} KiB at most",
        times.len()
    );
    // Far from what it does: how fast the machine is does not matter here.
    assert!(tried > 2000, "no flood: {tried}");
    assert!(p99 < Duration::from_secs(5), "{p99:?}");
    assert!(
        first.is_some_and(|first| first < Duration::from_secs(30)),
        "{first:?}"
    );
    assert!(most < 400 * 1024, "{most} KiB");
}

/// One session that guesses until told to stop.
fn guess(sandbox: &Sandbox, stop: &AtomicBool, session: u32, user: &str, address: &str) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let socket = UnixStream::connect(auth_socket(sandbox)).expect("it listens");
        let Some(mut client) = Client::greeted(socket) else {
            continue;
        };
        // Until it is hung up on.
        loop {
            n += 1;
            client.sign_in(n, user, &format!("guess {session} {n}"), address);
            let answered = std::iter::repeat_with(|| client.unasked(Duration::from_millis(50)))
                .find(|said| said.is_some() || stop.load(Ordering::Relaxed));
            if answered.flatten().is_none_or(|bytes| bytes.is_empty()) {
                break;
            }
        }
    }
}

/// While twenty sessions guess as `user` from `address`, owners at new addresses come
/// in at the first try, and few guesses are hashed.
fn p10_owners_come_in(sandbox: &Sandbox, relay: &relay::Relay, user: &str, address: &str) {
    const SESSIONS: u32 = 20;
    let owners: Vec<_> = (0..4)
        .map(|n| {
            let name = format!("owner{n}@example.com");
            let password = sandbox.create(&name);
            (name, password)
        })
        .collect();
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let _end = AtEnd(&stop);
        for session in 0..SESSIONS {
            let stop = &stop;
            scope.spawn(move || guess(sandbox, stop, session, user, address));
        }
        // Past what may be hashed at once.
        until("the attack to be slowed down", relay::PATIENCE, || {
            relay.count("sign-in refused") >= 4
        });
        for (n, (name, password)) in owners.iter().enumerate() {
            let mut client = Client::auth(sandbox);
            client.sign_in(1, name, password, &format!("198.51.100.{}", n + 1));
            assert_eq!(client.line(), Some(format!("OK\t1\tuser={name}")));
        }
    });
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("few") + 1;
    let hashed = relay.count("sign-in refused");
    println!("{hashed} guesses in {seconds} s");
    assert!(hashed <= 4 + 2 * seconds, "{hashed} in {seconds} s");
}

#[test]
fn p10_guesses_at_an_owner_keep_no_owner_out() {
    let sandbox = Sandbox::new();
    let relay = relay::start(&sandbox, &[], &[]);
    p10_owners_come_in(&sandbox, &relay, "owner0@example.com", "203.0.113.66");
}

#[test]
fn p10_who_signed_in_once_may_not_guess_more_than_others() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    signs_in(&mut Client::auth(&sandbox), &password);
    p10_owners_come_in(&sandbox, &relay, SHOP, HOME);
}

#[test]
fn a_crowd_with_the_same_right_password_comes_in() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let _relay = relay::start(&sandbox, &[], &[]);
    // Nobody is remembered yet: all of them wait for a hash.
    let mut crowd: Vec<Client> = (0..150).map(|_| Client::auth(&sandbox)).collect();
    for client in &mut crowd {
        client.sign_in(1, SHOP, &password, HOME);
    }
    for client in &mut crowd {
        assert_eq!(
            client.line().as_deref(),
            Some("OK\t1\tuser=shop@example.com")
        );
    }
}

#[test]
fn broken_bytes_end_only_their_own_connection() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let _relay = relay::start(&sandbox, &[], &[]);
    let mut good = Client::auth(&sandbox);
    // The same in each run: a linear congruence (Numerical Recipes).
    let mut state = 20_261_120_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let words = [
        "AUTH\t", "CONT\t", "CANCEL\t", "1", "\t", "PLAIN", "LOGIN", "resp=", "=", "\n", "\0",
        "\u{ff}",
    ];
    for round in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..random() % 40 {
            bytes.extend(words[random() as usize % words.len()].bytes());
            bytes.push(random().to_le_bytes()[0]);
        }
        bytes.extend(STANDARD.encode(&bytes).bytes());
        let mut client = Client::auth(&sandbox);
        let _ = client.send(&bytes);
        let socket = UnixStream::connect(policy_socket(&sandbox)).expect("it listens");
        let _ = Client::new(socket).send(&bytes);
        if round % 20 == 0 {
            signs_in(&mut good, &password);
        }
    }
    signs_in(&mut good, &password);
}
