//! Zones for a name server of our own: a relay, its hoster, a sound domain, and
//! what broken ones lead to.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::nsd::Nsd;
use crate::support::{Sandbox, wait_for};

pub const RSA_2048: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAovzqkAI/muWW5bc9+ZkLYfXBAISAOpixFuso6xjN5zZgf0t1OcLE4EEqd9anjcv9/wM2BZAw8fRJLqAoCYCIUI1PMwNzel0GL19EI/hseNNKD6w+2d8OFZ/hePqUGCuFBxqnYfwOyBRl6Pei8yCodXuSSlVxE8W6cMYhuWGORzom2KrQH1VBZvCu4uuXafhNoMEGoevYijj9UzUPFJ03x+EsCcfBXvvI06GbGkhA68AvNE9prWBS0gB2du7N7ccc+XiHo/VhUVSjdKB2qeBOnNzpmFSZB8NxzoXN8M55Ea1UXdrjKQgeDi6XrA8KtwSL7ElQOUBVcFPcQKMDhdOLJwIDAQAB";
pub const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDHkVaQVtp+feeR1tGG4LGpem0HAwstM4Eo3g35GN1tAn55drzG0UR2OnMEbsJGVRXwSdW9xnHWPjuEZQPCKk1avoBBSx8S7FtpGzbStDcmXrvLeHPQr8n3oIplvmrrIvKEPQZdK4pWO3HxkEDxBfh6W+OHoQi02hAkAX3kidNmZQIDAQAB";
pub const RSA_512: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL1rJCUCf4I1tVfpW2dOSEDlZCCI+amX9ku/Rr4+I8tqw/80wljUf5OIqyLZdxDsmUgndUW+5nfj9OEJhCWXWSUCAwEAAQ==";

/// The relay, its hoster's reverse zones, and others that records lead to.
fn neighbours() -> Vec<(String, String)> {
    // Ten includes, and one that is a look-up too many.
    let mut many = String::from("@ TXT \"v=spf1");
    for i in 0..10 {
        write!(many, " include:i{i}.many.example").unwrap();
    }
    many += " -all\"\n";
    for i in 0..10 {
        writeln!(many, "i{i} TXT \"v=spf1 ip4:198.51.100.{i} -all\"").unwrap();
    }
    let nine = |last: &str| {
        let eight = " a:mx.relay.example".repeat(8);
        format!("@ A 192.0.2.20\n@ TXT \"v=spf1{eight} {last} -all\"\n")
    };
    let six = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0";
    let (start, end) = RSA_2048.split_at(200);
    let zones = [
        // It knows who serves `away`, which is not this server.
        ("example", "away NS ns.elsewhere.test.\n".to_owned()),
        (
            "relay.example",
            format!(
                "smtp A 192.0.2.7\nsmtp AAAA 2001:db8::7\nnoname A 192.0.2.8\nother A 192.0.2.9\n\
             gone A 203.0.113.1\nalias CNAME smtp\nmx A 192.0.2.10\nprivate A 10.1.2.3\n\
             loop CNAME loop2\nloop2 CNAME loop\nkey TXT \"v=DKIM1; p={start}\" \"{end}\"\n"
            ),
        ),
        (
            "2.0.192.in-addr.arpa",
            "7 PTR smtp.relay.example.\n9 PTR mx.relay.example.\n".to_owned(),
        ),
        (
            "8.b.d.0.1.0.0.2.ip6.arpa",
            format!("7.{six} PTR smtp.relay.example.\n"),
        ),
        ("many.example", many),
        ("nospf.example", "@ A 192.0.2.20\n".to_owned()),
        (
            "badspf.example",
            "@ TXT \"v=spf1 ip4:nonsense -all\"\n".to_owned(),
        ),
        (
            "incl.example",
            "@ TXT \"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all\"\n".to_owned(),
        ),
        ("open.example", "@ TXT \"v=spf1 +all\"\n".to_owned()),
        (
            "neutral.example",
            "@ TXT \"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all\"\n".to_owned(),
        ),
        (
            "loopspf.example",
            "@ TXT \"v=spf1 include:loopspf.example -all\"\n".to_owned(),
        ),
        (
            "twospf.example",
            "@ TXT \"v=spf1 -all\"\n@ TXT \"v=spf1 ~all\"\n".to_owned(),
        ),
        ("nine.example", nine("include:incl.example")),
        ("nine-others.example", nine("a")),
        // No zone file that nsd can read: SERVFAIL.
        ("broken.example", "this is no record\n".to_owned()),
    ];
    zones
        .map(|(name, records)| (name.to_owned(), records))
        .into()
}

/// What a sound domain has, by check.
pub fn sound() -> [(&'static str, String); 6] {
    let (start, end) = RSA_2048.split_at(200);
    [
        ("mx", "@ MX 10 mx.relay.example.".to_owned()),
        (
            "spf",
            "@ TXT \"v=spf1 a:smtp.relay.example -all\"".to_owned(),
        ),
        (
            "dkim",
            format!("s1._domainkey TXT \"v=DKIM1; k=rsa; p={start}\" \"{end}\""),
        ),
        (
            "dmarc",
            "_dmarc TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@relay.example\"".to_owned(),
        ),
        (
            "mta-sts",
            "_mta-sts TXT \"v=STSv1; id=20261121\"\nmta-sts A 192.0.2.30".to_owned(),
        ),
        (
            "tls-rpt",
            "_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:tls@relay.example\"".to_owned(),
        ),
    ]
}

/// The same, with one part another.
pub fn sound_but(check: &str, records: &str) -> String {
    let mut zone = String::new();
    for (name, usual) in sound() {
        let records = if name == check { records } else { &usual };
        writeln!(zone, "{records}").unwrap();
    }
    zone
}

pub fn serve(zones: &[(String, String)]) -> Nsd {
    let mut all = neighbours();
    all.extend_from_slice(zones);
    let all: Vec<_> = all.iter().map(|(n, r)| (n.as_str(), r.as_str())).collect();
    Nsd::start(&all)
}

/// A store whose server is `smtp.relay.example`.
pub fn store() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.noted(&["set-settings", "--host", "smtp.relay.example"]);
    sandbox
}

pub fn check(sandbox: &Sandbox, nsd: &Nsd, domain: &str, more: &[&str]) -> (i32, Vec<Value>) {
    let command = [
        "domain",
        "check",
        domain,
        "--json",
        "--resolver",
        &nsd.address,
    ];
    let timed_out = format!("no answer from {}", nsd.address);
    // On a busy machine an answer may come too late; it is there all the same.
    let run = wait_for("answers in time", || {
        let run = sandbox.run(&[&command[..], more].concat());
        (!run.stdout.contains(&timed_out)).then_some(run)
    });
    let findings = serde_json::from_str(&run.stdout);
    (
        run.code,
        findings.unwrap_or_else(|e| panic!("{e}: {run:?}")),
    )
}

/// What one check says; there is one of it.
pub fn of<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let mut found = findings.iter().filter(|finding| finding["check"] == check);
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {check} in {findings:#?}"));
    assert!(found.next().is_none(), "{check} twice in {findings:#?}");
    first
}
