//! The servers that the other tests put `smtpcred serve` under do what they
//! are there for: with Dovecot and a stand-in on the sockets instead.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use crate::support::mail::Place;
use crate::support::mail::dovecot::{Dovecot, Passwords};
use crate::support::mail::exim::{self, Exim};
use crate::support::mail::postfix::{self, Postfix};
use crate::support::mail::smtp::{Reply, Smtp};
use crate::support::{self, mail};

const USER: &str = "shop@example.com";
const PASSWORD: &str = "vague-Otter-61-harbour";

fn dovecot(place: &Place) -> Dovecot {
    let passwords = Passwords::File(format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
    Dovecot::start_at(place, &passwords, place.auth())
}

/// Answers what the recipient or, at the end, the sender asks for, and keeps
/// what it was asked. An unknown question gets no answer.
fn stand_in(place: &Place) -> Arc<Mutex<Vec<String>>> {
    let listener = UnixListener::bind(place.policy()).unwrap();
    mail::open(&place.policy(), 0o666);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let requests = requests.clone();
            std::thread::spawn(move || answer(&stream.unwrap(), &requests));
        }
    });
    asked
}

fn answer(mut stream: &UnixStream, requests: &Mutex<Vec<String>>) {
    let mut request = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if !line.is_empty() {
            writeln!(request, "{line}").unwrap();
            continue;
        }
        requests.lock().unwrap().push(request.clone());
        let at_end = request.contains("protocol_state=END-OF-MESSAGE\n");
        let address = if at_end { "sender=" } else { "recipient=" };
        let (_, address) = request.split_once(&format!("\n{address}")).unwrap();
        let action = match address.split('@').next().unwrap() {
            "late" => "450 4.7.1 Sending limit of 3 messages a day reached",
            "not-mine" => "553 5.7.1 Sender address not owned by this login",
            "stopped" => "554 5.7.1 Suspended",
            "silent" => return,
            _ => "DUNNO",
        };
        if write!(stream, "action={action}\n\n").is_err() {
            return;
        }
        request.clear();
    }
}

fn signs_in(mut connect: impl FnMut() -> Smtp, refusal: &str) {
    for initial_response in [true, false] {
        let accepted = [
            connect().auth_plain(USER, PASSWORD, initial_response),
            connect().auth_login(USER, PASSWORD, initial_response),
        ];
        for reply in accepted {
            assert_eq!(reply.code, 235, "{reply:?}");
        }
        let mut same = connect();
        let refused = [
            same.auth_plain(USER, "wrong", initial_response),
            same.auth_login(USER, "wrong", initial_response),
            same.auth_plain("nobody@example.com", PASSWORD, initial_response),
        ];
        for reply in refused {
            assert_eq!((reply.code, reply.text.as_str()), (535, refusal));
        }
        let reply = same.auth_plain(USER, PASSWORD, initial_response);
        assert_eq!(reply.code, 235, "{reply:?}");
    }
}

/// Every answer of the stand-in, at the recipient and at the end.
fn obeys(mut smtp: Smtp, no_answer: u16) {
    let expected = [
        ("one@elsewhere.test", 250, ""),
        (
            "late@elsewhere.test",
            450,
            "Sending limit of 3 messages a day",
        ),
        ("not-mine@elsewhere.test", 553, "not owned by this login"),
        ("stopped@elsewhere.test", 554, "Suspended"),
        ("silent@elsewhere.test", no_answer, ""),
    ];
    for (address, code, text) in expected {
        let says = |reply: &Reply| {
            assert_eq!(reply.code, code, "{address}: {reply:?}");
            assert!(reply.text.contains(text), "{address}: {reply:?}");
        };
        says(&smtp.send_message(USER, address));
        says(&smtp.send_message(address, "one@elsewhere.test"));
    }
    assert_eq!(smtp.quit().code, 221);
}

fn asked_as_agreed(requests: &[String]) {
    let end = |request: &&String| request.contains("protocol_state=END-OF-MESSAGE\n");
    for line in [
        "request=smtpd_access_policy\n",
        "sasl_username=shop@example.com\n",
        "client_address=127.0.0.1\n",
    ] {
        assert!(requests.iter().all(|r| r.contains(line)), "{requests:#?}");
    }
    let first = requests.iter().find(end).unwrap();
    assert!(first.contains("recipient_count=1\n"), "{first}");
    assert!(!first.contains("instance=\n"), "{first}");
    assert!(!first.contains("size=0\n"), "{first}");
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_signs_in_and_asks() {
    for chroot in [false, true] {
        let place = Place::new();
        let _auth = dovecot(&place);
        let requests = stand_in(&place);
        let postfix = Postfix::start(&place, &postfix::Setup::new(&place, chroot));
        let refusal = "5.7.8 Error: authentication failed: (reason unavailable)";
        signs_in(|| postfix.client(), refusal);
        signs_in(|| postfix.client_tls(), refusal);
        obeys(postfix.client().signed_in(USER, PASSWORD), 450);
        obeys(postfix.client_tls().signed_in(USER, PASSWORD), 450);
        asked_as_agreed(&requests.lock().unwrap());
        // The first pair of each, and nothing that was refused.
        support::wait_for("the deliveries", || {
            (postfix.delivered() >= 4).then_some(())
        });
        assert_eq!(postfix.delivered(), 4, "{}", postfix.log());
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_lets_strangers_do_nothing() {
    let place = Place::new();
    let _auth = dovecot(&place);
    let _requests = stand_in(&place);
    let postfix = Postfix::start(&place, &postfix::Setup::new(&place, false));
    let mut early = Smtp::connect(postfix.submission, &place.certificate).unwrap();
    assert!(!early.ehlo().text.contains("AUTH"));
    assert_eq!(early.auth_plain(USER, PASSWORD, true).code, 530);
    let mut stranger = postfix.client();
    let refused = stranger.send_message(USER, "one@elsewhere.test");
    assert_eq!(refused.code, 554, "{refused:?}");
    let mut other = Smtp::connect(postfix.mx, &place.certificate).unwrap();
    assert!(!other.ehlo().text.contains("AUTH"));
    let relayed = other.send_message(USER, "one@elsewhere.test");
    assert_eq!(relayed.code, 554, "{relayed:?}");
    let inbound = other.send_message("them@elsewhere.test", "us@inbound.test");
    assert_eq!(inbound.code, 250, "{inbound:?}");
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn exim_signs_in_and_asks() {
    let place = Place::new();
    let _auth = dovecot(&place);
    let requests = stand_in(&place);
    let exim = Exim::start(&place, &exim::Setup::new(&place));
    signs_in(|| exim.client(), "Incorrect authentication data");
    signs_in(|| exim.client_tls(), "Incorrect authentication data");
    obeys(exim.client().signed_in(USER, PASSWORD), 451);
    obeys(exim.client_tls().signed_in(USER, PASSWORD), 451);
    asked_as_agreed(&requests.lock().unwrap());
    support::wait_for("the deliveries", || (exim.delivered() >= 4).then_some(()));
    assert_eq!(exim.delivered(), 4, "{}", exim.log());

    let mut stranger = exim.client();
    let refused = stranger.send_message(USER, "one@elsewhere.test");
    assert_eq!(refused.code, 550, "{refused:?}");
    let mut early = Smtp::connect(exim.submission, &place.certificate).unwrap();
    assert!(!early.ehlo().text.contains("AUTH"));
    assert_eq!(early.auth_plain(USER, PASSWORD, true).code, 503);
}

#[test]
#[ignore = "needs root, Postfix and Exim: run tests/run"]
fn trouble_on_the_socket_is_not_a_wrong_password() {
    let place = Place::new();
    let hangs_up = UnixListener::bind(place.auth()).unwrap();
    mail::open(&place.auth(), 0o666);
    std::thread::spawn(move || {
        for stream in hangs_up.incoming() {
            let mut stream = stream.unwrap();
            let greeting = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\n\
                            COOKIE\t00000000000000000000000000000000\nDONE\n";
            stream.write_all(greeting.as_bytes()).unwrap();
            let asks = |line: &String| line.starts_with("AUTH\t");
            BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .find(asks);
        }
    });
    let postfix = Postfix::start(&place, &postfix::Setup::without_policy(&place, false));
    assert_eq!(postfix.client().auth_plain(USER, PASSWORD, true).code, 454);
    let exim = Exim::start(&place, &exim::Setup::without_policy(&place));
    assert_eq!(exim.client().auth_plain(USER, PASSWORD, true).code, 435);
}

#[test]
#[ignore = "needs root, Postfix and Dovecot: run tests/run"]
fn dovecot_reads_the_views_and_its_cache() {
    let place = Place::new();
    let store = place.path().join("store.db");
    let tables = "
        CREATE TABLE dovecot_users(username, password);
        CREATE TABLE dovecot_overlap(username, password);
        INSERT INTO dovecot_users VALUES ('shop@example.com', '{PLAIN}new');
        INSERT INTO dovecot_overlap VALUES ('shop@example.com', '{PLAIN}old');";
    Connection::open(&store)
        .unwrap()
        .execute_batch(tables)
        .unwrap();
    let dovecot = Dovecot::start_at(&place, &Passwords::Views(store), place.auth());
    let setup = postfix::Setup::without_policy(&place, false);
    let postfix = Postfix::start(&place, &setup);
    for (password, code) in [("new", 235), ("old", 235), ("other", 535)] {
        let reply = postfix.client().auth_plain(USER, password, true);
        assert_eq!(reply.code, code, "{password}: {}", dovecot.log());
    }
    drop((postfix, dovecot));

    let place = Place::new();
    let passwords = Passwords::Cached(format!("{USER}:{{PLAIN}}{PASSWORD}\n"));
    let _dovecot = Dovecot::start_at(&place, &passwords, place.auth());
    let postfix = Postfix::start(&place, &postfix::Setup::without_policy(&place, false));
    for _ in 0..2 {
        assert_eq!(postfix.client().auth_plain(USER, PASSWORD, true).code, 235);
    }
}
