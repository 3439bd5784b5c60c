//! `smtpcred doctor` at ports and certificates of a real Postfix.

use crate::support::doctor::{Ground, with_postfix};
use crate::support::mail::Place;
use crate::support::serve::{Serve, postfix, store};
use crate::support::{self, doctor, free_port, mail};

/// What a certificate says, and how long ago it was made.
fn certificate(place: &Place, name: &str, days: u32, ago: &str) {
    let [key, file] = [&place.certificate.key, &place.certificate.file];
    let made = std::process::Command::new("faketime")
        .args([ago, "openssl", "req", "-x509", "-nodes", "-newkey", "ec"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            "/CN=it",
        ])
        .args(["-addext", &format!("subjectAltName=DNS:{name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-days", &days.to_string(), "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(file)
        .output()
        .expect("faketime and openssl: run tests/run");
    assert!(made.status.success(), "{made:?}");
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn the_certificate() {
    let host = mail::tls::HOST;
    for (case, name, days, ago, said) in [
        ("expired", host, 2, "3 days ago", Some("fail")),
        ("another name", "other.test", 90, "1 day ago", Some("fail")),
        ("not valid yet", host, 90, "2 days", Some("fail")),
        ("about to expire", host, 90, "80 days ago", Some("warn")),
        ("short-lived", host, 6, "3 days ago", None),
    ] {
        let sandbox = store();
        let place = Place::new();
        certificate(&place, name, days, ago);
        let _serve = Serve::start(&sandbox, &place);
        let postfix = postfix(&sandbox, &place);
        let ground = Ground::new(&sandbox, &place, "postfix", &postfix.config)
            .ports(postfix.submission, postfix.submissions);
        let Some(state) = said else {
            ground.is_sound();
            continue;
        };
        // The other port has the same one.
        let said = format!("{state} ports {} STARTTLS certificate", postfix.submission);
        ground.complains(case, &[&said]);
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn the_ports() {
    with_postfix(|ground, _, postfix| {
        let [starttls, tls] = [postfix.submission, postfix.submissions];
        let swapped = |from: &str, to: &str| -> Vec<String> {
            let swap = |arg: &String| arg.replace(from, to);
            ground.args.iter().map(swap).collect()
        };
        let closed = free_port();
        ground.complains_with(
            "a port is closed",
            &swapped(&format!("{tls}/tls"), &format!("{closed}/tls")),
            &[&format!("fail ports {closed} TLS")],
        );
        ground.complains_with(
            "TLS at once, where it is STARTTLS",
            &swapped(&format!("{starttls}/starttls"), &format!("{starttls}/tls")),
            &[&format!("fail ports {starttls} TLS")],
        );
        ground.complains_with(
            "STARTTLS, where it is TLS at once",
            &swapped(&format!("{tls}/tls"), &format!("{tls}/starttls")),
            &[&format!("fail ports {tls} STARTTLS")],
        );
        // The one for other servers: no TLS, no signing in.
        let mx = postfix.mx;
        ground.complains_with(
            "a port that signs nobody in",
            &swapped(&format!("{tls}/tls"), &format!("{mx}/starttls")),
            &[&format!("fail ports {mx} STARTTLS")],
        );
        let other = Place::new();
        let mut args = ground.command(&ground.args);
        args.env("SSL_CERT_FILE", &other.certificate.file);
        let run = support::finished(args.output().unwrap());
        let untrusted = format!("fail ports {starttls} STARTTLS certificate");
        assert_eq!(
            doctor::complaints(&run),
            [untrusted].into(),
            "{}",
            run.stdout
        );

        ground.sandbox.noted(&["set-settings", "--host", "none"]);
        ground.complains("no name to compare with", &["warn ports host"]);
        ground
            .sandbox
            .noted(&["set-settings", "--host", mail::tls::HOST]);
    });
}

/// Postfix itself offers it: its configuration says so, and the port.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn passwords_in_clear() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let mut setup = mail::postfix::Setup::new(&place, false);
    setup.options = setup.options.replace("auth_only=yes", "auth_only=no");
    setup.main += "smtpd_tls_security_level = may\n";
    setup.options += "  -o smtpd_tls_security_level=may\n";
    let postfix = mail::postfix::Postfix::start(&place, &setup);
    let ground = Ground::new(&sandbox, &place, "postfix", &postfix.config)
        .ports(postfix.submission, postfix.submissions);
    let port = postfix.submission;
    let said = format!("fail postfix 127.0.0.1:{port}/inet smtpd_tls_auth_only");
    ground.complains("in clear", &[&said]);
}
