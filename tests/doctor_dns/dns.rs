//! `domain check` and `domain verify` against a name server of our own, with
//! good and missing records, and with servers that do not answer.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::support::Run;
use crate::support::zones::{check, of, serve, sound_but, store};

#[test]
#[ignore = "needs nsd: run tests/run"]
fn a_sound_domain_is_found_sound() {
    let nsd = serve(&[("good.example".into(), sound_but("", ""))]);
    let sandbox = store();
    sandbox.noted(&["domain", "add", "good.example"]);
    let (code, findings) = check(&sandbox, &nsd, "good.example", &["--selector", "s1"]);
    let states: Vec<_> = findings
        .iter()
        .map(|finding| {
            (
                finding["check"].as_str().unwrap(),
                finding["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("host", "ok"),
            ("reverse", "ok"),
            ("reverse", "ok"),
            ("mx", "ok"),
            ("spf", "ok"),
            ("dkim", "ok"),
            ("dmarc", "ok"),
            ("mta-sts", "ok"),
            ("tls-rpt", "ok"),
        ]
    );
    assert_eq!(code, 0);
    let command = [
        "domain",
        "check",
        "good.example",
        "--resolver",
        &nsd.address,
    ];
    let run = sandbox.run(&[&command[..], &["--selector", "S1"]].concat());
    assert_eq!(
        run,
        Run {
            code: 0,
            stdout: "\
CHECK    STATE  FOUND
host     ok     smtp.relay.example is 192.0.2.7, 2001:db8::7
reverse  ok     192.0.2.7 is smtp.relay.example
reverse  ok     2001:db8::7 is smtp.relay.example
mx       ok     10 mx.relay.example
spf      ok     v=spf1 a:smtp.relay.example -all (1 of 10 look-ups)
dkim     ok     s1: RSA, 2048 bits
dmarc    ok     v=DMARC1; p=reject; rua=mailto:dmarc@relay.example
mta-sts  ok     v=STSv1; id=20261121
tls-rpt  ok     v=TLSRPTv1; rua=mailto:tls@relay.example
"
            .into(),
            stderr: "nothing is missing or wrong for good.example\n".into(),
        }
    );
    // Without a selector there is nothing to be said of keys, and that is said.
    let (code, findings) = check(&sandbox, &nsd, "good.example", &[]);
    assert_eq!(
        (code, &of(&findings, "dkim")["state"]),
        (0, &"warning".into())
    );
}

/// What it says to publish is what it then finds good.
#[test]
#[ignore = "needs nsd: run tests/run"]
fn the_records_it_wants_are_good_once_published() {
    let sandbox = store();
    let added = sandbox.json(&["domain", "add", "new.example"]);
    let mut zone = String::from("@ MX 10 mx.relay.example.\n");
    for record in added["records"].as_array().unwrap() {
        let [name, kind, value] = ["name", "type", "value"].map(|k| record[k].as_str().unwrap());
        writeln!(zone, "{name}. IN {kind} \"{value}\"").unwrap();
    }
    // The same as lines, which go into a zone file as they are.
    let lines = sandbox.noted(&["domain", "add", "lines.example"]) + "@ MX 10 mx.relay.example.\n";
    let worst = "@ TXT \"v=spf1 mx ip4:198.51.100.1 ?all\"\n@ TXT \"v=spf1 include:incl.example +all\"\n\
                 @ MX 10 mx.relay.example.\n";
    sandbox.noted(&["domain", "add", "worst.example"]);
    let zones = [
        ("new.example".to_owned(), zone),
        ("lines.example".to_owned(), lines),
        ("worst.example".to_owned(), worst.to_owned()),
    ];
    let nsd = serve(&zones);
    for domain in ["new.example", "lines.example"] {
        let (code, findings) = check(&sandbox, &nsd, domain, &[]);
        assert_eq!(code, 0, "{findings:#?}");
    }
    let (code, findings) = check(&sandbox, &nsd, "worst.example", &[]);
    assert_eq!(code, 7);
    let mut mended = String::from("@ MX 10 mx.relay.example.\n");
    for line in findings
        .iter()
        .filter_map(|finding| finding["wanted"].as_str())
    {
        writeln!(mended, "{line}").unwrap();
    }
    let nsd = serve(&[("worst.example".to_owned(), mended)]);
    let (code, findings) = check(&sandbox, &nsd, "worst.example", &[]);
    assert_eq!(code, 0, "{findings:#?}");
}

#[test]
#[ignore = "needs nsd: run tests/run"]
fn the_server_and_its_addresses() {
    let nsd = serve(&[("good.example".into(), sound_but("", ""))]);
    let sandbox = store();
    sandbox.noted(&["domain", "add", "good.example"]);
    let look = |host: &str| {
        sandbox.noted(&["domain", "set", "good.example", "--host", host]);
        let (code, findings) = check(&sandbox, &nsd, "good.example", &["--selector", "s1"]);
        let states: Vec<_> = ["host", "reverse", "spf"]
            .into_iter()
            .map(|check| {
                let mut all = findings.iter().filter(|f| f["check"] == check);
                all.next()
                    .map_or("", |f| f["state"].as_str().unwrap())
                    .to_owned()
            })
            .collect();
        (code, states.join(" "), findings)
    };
    let (code, states, findings) = look("noname.relay.example");
    assert_eq!((code, states.as_str()), (7, "ok missing wrong"));
    assert_eq!(
        of(&findings, "reverse")["wanted"],
        "8.2.0.192.in-addr.arpa. IN PTR noname.relay.example."
    );
    // Its name has another address, and does not lead back.
    let (code, states, _) = look("other.relay.example");
    assert_eq!((code, states.as_str()), (7, "ok wrong wrong"));
    // No zone of this server: it refuses to say.
    let (code, states, findings) = look("gone.relay.example");
    assert_eq!((code, states.as_str()), (7, "ok unknown wrong"));
    assert!(
        of(&findings, "reverse")["found"]
            .as_str()
            .unwrap()
            .contains("REFUSED")
    );
    let (code, states, _) = look("nowhere.relay.example");
    assert_eq!((code, states.as_str()), (7, "missing  warning"));
    let (code, states, _) = look("smtp.broken.example");
    assert_eq!((code, states.as_str()), (75, "unknown  unknown"));
    // Round and round: no answer, but no hanging either.
    let (code, states, _) = look("loop.relay.example");
    assert_ne!(code, 0, "{states}");
    let (_, states, _) = look("private.relay.example");
    assert!(states.starts_with("warning"), "{states}");
    let (code, states, _) = look("alias.relay.example");
    assert_eq!((code, states.as_str()), (0, "ok ok ok"));
    // Without one there is nothing to let send.
    sandbox.noted(&["set-settings", "--host", "none"]);
    let (code, states, _) = look("none");
    assert_eq!((code, states.as_str()), (7, "missing  warning"));
}

#[test]
#[ignore = "needs nsd: run tests/run"]
fn domains_that_are_not_there_or_do_not_answer() {
    let sub = sound_but("dmarc", "")
        + "mail TXT \"v=spf1 a:smtp.relay.example -all\"\n\
        mail MX 10 mx.relay.example.\n_dmarc TXT \"v=DMARC1; p=quarantine\"\n";
    let huge: String = (0..60).fold(sound_but("", ""), |zone, i| {
        format!(
            "{zone}@ TXT \"verification-of-somebody-{i}={}\"\n",
            "x".repeat(200)
        )
    });
    let idna = ("xn--bcher-kva.example".to_owned(), sound_but("", ""));
    let nsd = serve(&[
        idna,
        ("sub.example".to_owned(), sub),
        ("huge.example".to_owned(), huge),
    ]);
    let sandbox = store();
    for name in [
        "missing.example",
        "broken.example",
        "elsewhere.org",
        "mail.sub.example",
        "huge.example",
        "bücher.example",
    ] {
        sandbox.noted(&["domain", "add", name]);
    }
    // Once, and not once for each record that is not there either.
    let (code, findings) = check(&sandbox, &nsd, "missing.example", &[]);
    let checks: Vec<_> = findings
        .iter()
        .map(|f| f["check"].as_str().unwrap())
        .collect();
    assert_eq!(checks, ["domain", "host", "reverse", "reverse"]);
    assert_eq!((code, &findings[0]["state"]), (7, &"missing".into()));
    // A zone that is lame, or not of this server: nobody can tell.
    for (name, word) in [("broken.example", "SERVFAIL"), ("elsewhere.org", "REFUSED")] {
        let (code, findings) = check(&sandbox, &nsd, name, &["--selector", "s1"]);
        assert_eq!(code, 75, "{findings:#?}");
        for check in ["mx", "spf", "dkim", "dmarc", "mta-sts", "tls-rpt"] {
            let found = of(&findings, check);
            assert_eq!(found["state"], "unknown");
            assert!(found["found"].as_str().unwrap().contains(word), "{found}");
            assert!(found["wanted"].is_null());
        }
    }
    // A domain above speaks for it.
    let (code, findings) = check(&sandbox, &nsd, "mail.sub.example", &[]);
    assert_eq!(code, 0, "{findings:#?}");
    let dmarc = of(&findings, "dmarc")["found"].as_str().unwrap();
    assert_eq!(dmarc, "that of sub.example: v=DMARC1; p=quarantine");
    // More than a datagram holds: by TCP.
    let (code, findings) = check(&sandbox, &nsd, "huge.example", &["--selector", "s1"]);
    assert_eq!(code, 0, "{findings:#?}");
    let (code, findings) = check(&sandbox, &nsd, "Bücher.example", &["--selector", "s1"]);
    assert_eq!(code, 0, "{findings:#?}");
}

/// The message, shown once, if no query gets an answer.
const CUT_OFF: &str = "DNS look-ups do not work from here";

/// A name server that gives this code as the answer to every question, until the process ends.
fn answers_all(code: u8) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((read, from)) = socket.recv_from(&mut question) {
            // The question again, as an answer without records.
            question[2..4].copy_from_slice(&[0x81, 0x80 | code]);
            question[6..12].fill(0);
            let name = question[12..read].iter().position(|byte| *byte == 0);
            let end = 12 + name.unwrap_or(0) + 5;
            let _ = socket.send_to(&question[..end], from);
        }
    });
    address
}

#[test]
fn no_network_is_not_a_domain_that_does_not_exist() {
    let sandbox = store();
    sandbox.noted(&["domain", "add", "good.example"]);
    let [servfail, nxdomain, refused] = [2, 3, 5];
    for (code, why) in [
        (servfail, "(SERVFAIL)"),
        (nxdomain, "not even the root of the DNS exists"),
        (refused, "(REFUSED)"),
    ] {
        let address = answers_all(code);
        let run = sandbox.run(&["domain", "check", "good.example", "--resolver", &address]);
        assert_eq!((run.code, run.stdout.as_str()), (75, ""), "{run:?}");
        assert!(
            run.stderr.starts_with(&format!("error: {CUT_OFF}: ")),
            "{run:?}"
        );
        assert!(run.stderr.contains(why), "{run:?}");
        let run = sandbox.run(&["domain", "verify", "good.example", "--resolver", &address]);
        assert_eq!((run.code, run.stdout.as_str()), (75, ""), "{run:?}");
        let cut_off = ["be looked up", CUT_OFF]
            .iter()
            .any(|said| run.stderr.contains(said));
        assert!(cut_off, "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_no_missing_record() {
    let sandbox = store();
    sandbox.noted(&["domain", "add", "good.example"]);
    // It listens, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for command in ["check", "verify"] {
        let began = Instant::now();
        let run = sandbox.run(&["domain", command, "good.example", "--resolver", &address]);
        let expected = format!("error: {CUT_OFF}: no answer from {address}\n");
        assert!(run.stderr.starts_with(&expected), "{run:?}");
        assert_eq!((run.code, run.stdout.as_str()), (75, ""));
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    drop(silent);
    let run = sandbox.run(&[
        "domain",
        "check",
        "good.example",
        "--json",
        "--resolver",
        &address,
    ]);
    assert_eq!((run.code, run.stdout.as_str()), (75, ""));
    assert!(run.stderr.contains("\"dns_failed\""), "{run:?}");
}

#[test]
fn what_cannot_be_meant_is_said_at_once() {
    let sandbox = store();
    sandbox.noted(&["domain", "add", "good.example"]);
    let huge = "x".repeat(100_000);
    let refused = |more: &[&str]| {
        let run = sandbox.run(&[&["domain", "check", "good.example"], more].concat());
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (2, ""),
            "{more:?}: {run:?}"
        );
        assert!(
            run.stderr.len() < 2000 && !run.stderr.contains('\x1b'),
            "{run:?}"
        );
    };
    for bad in [
        "",
        "dns.example.com",
        "127.0.0.1:0",
        "127.0.0.1:",
        "::1:x",
        "\x1b[2J",
        &huge,
    ] {
        refused(&["--resolver", bad]);
    }
    for bad in ["", "a b", "..", "\x1b[2J", &huge] {
        refused(&["--selector", bad]);
    }
    for command in ["check", "verify"] {
        let run = sandbox.run(&["domain", command, "other.example"]);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
    }
}

/// What strangers publish does not reach a terminal as it is.
#[test]
#[ignore = "needs nsd: run tests/run"]
fn control_characters_in_records_are_spelled_out() {
    let evil = "@ TXT \"v=spf1 \\027[2J\\010 -all\"";
    let long = format!(
        "_dmarc TXT {}",
        "\"v=DMARC1; p=\\027]0;x\\007yyyyyyyyyyyyyyy\" ".repeat(500)
    );
    let nsd = serve(&[("evil.example".into(), format!("{evil}\n{long}\n"))]);
    let sandbox = store();
    sandbox.noted(&["domain", "add", "evil.example"]);
    let run = sandbox.run(&[
        "domain",
        "check",
        "evil.example",
        "--resolver",
        &nsd.address,
    ]);
    assert_eq!(run.code, 7);
    assert!(run.stdout.contains("\\u{1b}[2J"), "{run:?}");
    assert!(
        !run.stdout.chars().any(|c| c.is_control() && c != '\n'),
        "{run:?}"
    );
    assert!(run.stdout.len() < 5000, "{} bytes", run.stdout.len());
}
