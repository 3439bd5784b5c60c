//! Plans for configurations as `postconf` of Postfix 3.7 has printed them. A long file: it is
//! one configuration after the other.

use super::found::{Edit, Found};
use super::plan::plan;
use crate::doctor::postfix::{Postfix, pairs};
use crate::setup::ports::CertificateFiles;

/// What plans read of main.cf and its defaults.
const MAIN: &str = "\
compatibility_level = 3.6
inet_interfaces = all
queue_directory = /var/spool/postfix
smtpd_client_restrictions =
smtpd_end_of_data_restrictions =
smtpd_enforce_tls = no
smtpd_helo_restrictions =
smtpd_recipient_restrictions =
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
smtpd_restriction_classes =
smtpd_sasl_auth_enable = no
smtpd_sasl_path = smtpd
smtpd_sasl_security_options = noanonymous
smtpd_sasl_tls_security_options = noanonymous
smtpd_sasl_type = cyrus
smtpd_sender_login_maps =
smtpd_sender_restrictions =
smtpd_tls_auth_only = no
smtpd_tls_cert_file = /etc/postfix/cert.pem
smtpd_tls_chain_files =
smtpd_tls_security_level = may
smtpd_tls_wrappermode = no
smtpd_use_tls = no
";
const SMTP: &str = "smtp       inet  n       -       y       -       -       smtpd\n";
const SUBMISSION: &str = "submission inet  n       -       y       -       -       smtpd\n";
const SUBMISSIONS: &str = "submissions inet n       -       y       -       -       smtpd\n";
/// A service that is as setup leaves it.
const OURS: &str = "\
submissions/inet/smtpd_tls_wrappermode = yes
submissions/inet/smtpd_tls_auth_only = yes
submissions/inet/smtpd_sasl_auth_enable = yes
submissions/inet/smtpd_sasl_type = dovecot
submissions/inet/smtpd_sasl_path = smtpcred/auth
submissions/inet/smtpd_recipient_restrictions = check_policy_service { unix:smtpcred/policy, default_action=DEFER }
submissions/inet/smtpd_end_of_data_restrictions = check_policy_service,{unix:smtpcred/policy,default_action=DEFER}
";
const POLICY: &str = "check_policy_service,{unix:smtpcred/policy,default_action=DEFER}";

/// Returns what was found, with these parameters of main.cf, lines of master.cf and options.
fn found(main: &[(&str, &str)], master: &str, options: &str) -> Found {
    let line = |line: &str| {
        let name = line.split(" =").next().unwrap_or_default();
        let own = main.iter().find(|(own, _)| *own == name);
        own.map_or_else(
            || line.to_owned(),
            |(name, value)| format!("{name} = {value}"),
        )
    };
    let mut text: Vec<String> = MAIN.lines().map(line).collect();
    let others = main
        .iter()
        .filter(|(name, _)| !MAIN.contains(&format!("{name} =")));
    text.extend(others.map(|(name, value)| format!("{name} = {value}")));
    let text = text.join("\n");
    let options = format!("{OURS}{options}");
    let master = format!("{SMTP}{SUBMISSIONS}{master}");
    Found {
        version: "3.7.11".into(),
        main: pairs(&text),
        overrides: pairs(&options),
        master: master.lines().map(str::to_owned).collect(),
        expanded: Postfix::of(&text, &options, &master),
        taken: Vec::new(),
        name_of_465: "submissions",
        certificate: None,
    }
}

/// Returns the changes, or the reason why there are none.
fn planned(found: &Found, replace: bool) -> Vec<String> {
    match plan(found, replace) {
        Ok(edits) => edits.list.iter().map(described).collect(),
        Err(refused) => vec![refused.to_string().replace("; nothing was changed", "")],
    }
}

fn described(edit: &Edit) -> String {
    match edit {
        Edit::Main { name, value } => format!("{name}={value}"),
        Edit::Line { line, .. } => line.clone(),
        Edit::Option { name, value, .. } => format!("{name}={value}"),
    }
}

/// What a bare service needs.
fn all(recipients: &str) -> Vec<String> {
    let recipients = format!("smtpd_recipient_restrictions={POLICY}{recipients}");
    let end = format!("smtpd_end_of_data_restrictions={POLICY}");
    [
        "smtpd_tls_auth_only=yes",
        "smtpd_sasl_auth_enable=yes",
        "smtpd_sasl_type=dovecot",
        "smtpd_sasl_path=smtpcred/auth",
        &recipients,
        &end,
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn what_is_set_up_stays() {
    let again = "\
submission/inet/smtpd_tls_security_level = encrypt
submission/inet/smtpd_tls_auth_only = yes
submission/inet/smtpd_sasl_auth_enable = yes
submission/inet/smtpd_sasl_type = dovecot
submission/inet/smtpd_sasl_path = smtpcred/auth
submission/inet/smtpd_recipient_restrictions = check_policy_service,{unix:smtpcred/policy,default_action=DEFER},reject
submission/inet/smtpd_end_of_data_restrictions = check_policy_service { unix:smtpcred/policy, default_action = DEFER }
";
    assert_eq!(
        planned(&found(&[], SUBMISSION, again), false),
        [
            // Users would be rejected.
            format!("smtpd_recipient_restrictions={POLICY},permit_sasl_authenticated,reject")
        ]
    );
    let good = again.replace(",reject\n", ",permit_sasl_authenticated,reject\n");
    assert_eq!(planned(&found(&[], SUBMISSION, &good), false), [""; 0]);
    // The whole path is as good without a chroot, and wrong with one.
    let whole = good.replace("path = smtpcred", "path = /var/spool/postfix/smtpcred");
    let wrong = planned(&found(&[], SUBMISSION, &whole), false);
    assert_eq!(wrong, ["smtpd_sasl_path=smtpcred/auth"]);
    let free = SUBMISSION.replace(" y ", " n ");
    assert_eq!(planned(&found(&[], &free, &whole), false), [""; 0]);
}

#[test]
fn a_missing_service_is_added_like_the_others() {
    for (smtp, chroot) in [
        (SMTP.to_owned(), "y"),
        (SMTP.replace(" y ", " n "), "n"),
        // smtpd is behind postscreen.
        (
            SMTP.replace("smtpd", "postscreen") + "smtpd pass - - n - - smtpd\n",
            "n",
        ),
    ] {
        let mut found = found(&[], "", "");
        found.master = format!("{smtp}{SUBMISSIONS}")
            .lines()
            .map(str::to_owned)
            .collect();
        let edits = planned(&found, false);
        let begin =
            format!("submission inet n - {chroot} - - smtpd -o syslog_name=postfix/submission ");
        assert!(
            edits.len() == 1 && edits[0].starts_with(&begin),
            "{edits:?}"
        );
        assert!(
            edits[0].contains("-o {smtpd_relay_restrictions=permit_sasl_authenticated, reject} ")
        );
        found.taken = vec![587];
        let refused = ["another program listens on port 587, so Postfix cannot"];
        assert_eq!(planned(&found, false), refused);
    }
}

#[test]
fn what_a_service_has_stays() {
    for (options, recipients) in [
        ("", ""),
        (
            "smtpd_recipient_restrictions = $mua_recipient_restrictions",
            ",$mua_recipient_restrictions",
        ),
        (
            "smtpd_recipient_restrictions = permit_mynetworks, check_policy_service inet:127.0.0.1:10023, permit_sasl_authenticated, reject",
            ",permit_mynetworks,check_policy_service inet:127.0.0.1:10023,permit_sasl_authenticated,reject",
        ),
        (
            "smtpd_recipient_restrictions = check_policy_service unix:smtpcred/policy permit_sasl_authenticated reject",
            ",permit_sasl_authenticated,reject",
        ),
        (
            "smtpd_recipient_restrictions = permit_mynetworks REJECT",
            ",permit_mynetworks,permit_sasl_authenticated,REJECT",
        ),
    ] {
        let options = match options {
            "" => String::new(),
            options => format!("submission/inet/{options}\n"),
        };
        let said = planned(&found(&[], SUBMISSION, &options), false);
        let said: Vec<_> = said
            .into_iter()
            .map(|edit| edit.replace("check_policy_service,inet", "check_policy_service inet"))
            .collect();
        if options.contains("= check_policy_service unix:smtpcred") {
            // It asks already.
            let wanted: Vec<_> = all("")
                .into_iter()
                .filter(|edit| !edit.contains("recipient"))
                .collect();
            assert_eq!(said, wanted, "{options}");
        } else {
            assert_eq!(said, all(recipients), "{options}");
        }
    }
}

#[test]
fn white_space_that_has_to_stay_makes_a_whole_line() {
    let list = "check_client_access inline:{ {192.0.2.1 = REJECT go away} }, reject";
    let options = format!("submission/inet/smtpd_recipient_restrictions = {list}\n");
    let line = format!(
        "{} -o {{smtpd_recipient_restrictions = {list}}}\n",
        SUBMISSION.trim_end()
    );
    let said = planned(&found(&[], &line, &options), false);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains(
            "inline:{ {192.0.2.1 = REJECT go away} }, permit_sasl_authenticated, reject}"
        ),
        "{said:?}"
    );
    assert_eq!(said[0].matches("smtpd_recipient_restrictions").count(), 1);
}

#[test]
fn what_is_not_understood_is_refused() {
    let on = "submission/inet/smtpd_sasl_auth_enable = yes\n";
    let dovecot = format!(
        "{on}submission/inet/smtpd_sasl_type = dovecot\nsubmission/inet/smtpd_sasl_path = private/auth\n"
    );
    let mapped = "submission/inet/smtpd_sender_restrictions = reject_sender_login_mismatch\n";
    let class = "submission/inet/smtpd_client_restrictions = strict\n";
    let second = format!("{SUBMISSION}127.0.0.1:587 inet n - n - - smtpd\n");
    let twice = format!("{SUBMISSION}{SUBMISSION}");
    let screen = SUBMISSION.replace("smtpd", "postscreen");
    for (main, master, options, reason) in [
        (
            &[][..],
            SUBMISSION,
            on,
            "submission signs users in through Cyrus SASL (smtpd)",
        ),
        (
            &[("smtpd_sasl_auth_enable", "yes")],
            SUBMISSION,
            "",
            "through Cyrus SASL",
        ),
        (
            &[],
            SUBMISSION,
            &dovecot,
            "through Dovecot's protocol (private/auth)",
        ),
        (
            &[],
            &second,
            "",
            "two services for port 587: submission/inet and 127.0.0.1:587/inet",
        ),
        (&[], &twice, "", "two services for port 587"),
        (&[], &screen, "", "submission runs postscreen, not smtpd"),
        (
            &[],
            SUBMISSION,
            mapped,
            "smtpd_sender_login_maps, which is empty",
        ),
        (
            &[
                ("smtpd_restriction_classes", "strict"),
                ("strict", "reject"),
            ],
            SUBMISSION,
            class,
            "smtpd_client_restrictions rejects users with reject, in strict",
        ),
        (
            &[("smtpd_tls_cert_file", "")],
            SUBMISSION,
            "",
            "Postfix has no certificate",
        ),
        (
            &[("smtpd_tls_cert_file", "none")],
            SUBMISSION,
            "",
            "Postfix has no certificate",
        ),
    ] {
        let said = planned(&found(main, master, options), false);
        assert!(
            said.len() == 1 && said[0].contains(reason),
            "{reason}: {said:?}"
        );
    }
    let mut old = found(&[], SUBMISSION, "");
    for (version, refused) in [("2.11.3", true), ("3.0.1", false), ("", true)] {
        version.clone_into(&mut old.version);
        assert_eq!(
            planned(&old, false)[0].contains("needs 3.0"),
            refused,
            "{version}"
        );
    }
    // --replace
    for options in [on, &dovecot] {
        assert!(planned(&found(&[], SUBMISSION, options), true).len() > 2);
    }
}

#[test]
fn encryption_and_rights_are_completed() {
    let with = |options: &[&str]| {
        let options: Vec<_> = options
            .iter()
            .map(|one| format!("submission/inet/{one}\n"))
            .collect();
        planned(&found(&[], SUBMISSION, &options.concat()), false)
    };
    for (option, edit) in [
        (
            "smtpd_tls_security_level = none",
            "smtpd_tls_security_level=encrypt",
        ),
        (
            "smtpd_tls_security_level =",
            "smtpd_tls_security_level=encrypt",
        ),
        ("smtpd_tls_wrappermode = yes", "smtpd_tls_wrappermode=no"),
        (
            "smtpd_sasl_security_options = noplaintext, noanonymous",
            "smtpd_sasl_security_options=noanonymous",
        ),
        (
            "smtpd_sasl_tls_security_options =",
            "smtpd_sasl_tls_security_options=noanonymous",
        ),
        (
            "smtpd_relay_restrictions = reject_unauth_destination",
            "smtpd_relay_restrictions=permit_sasl_authenticated,reject_unauth_destination",
        ),
        (
            "smtpd_client_restrictions = permit_mynetworks,reject",
            "smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated,reject",
        ),
    ] {
        let said = with(&[option]);
        assert!(said.iter().any(|one| one == edit), "{option}: {said:?}");
        assert_eq!(said.len(), all("").len() + 1, "{said:?}");
    }
    // A port with STARTTLS that also offers other levels.
    assert_eq!(with(&["smtpd_tls_security_level = encrypt"]), all(""));
}

#[test]
fn a_certificate_that_is_there_is_used() {
    let mut found = found(&[("smtpd_tls_cert_file", "")], SUBMISSION, "");
    found.certificate = Some(CertificateFiles {
        certificate: "/etc/letsencrypt/live/smtp.example.com/fullchain.pem".into(),
        key: "/etc/letsencrypt/live/smtp.example.com/privkey.pem".into(),
        for_tests: false,
    });
    let said = planned(&found, false);
    let last = &said[said.len() - 2..];
    assert_eq!(
        last,
        [
            "smtpd_tls_cert_file=/etc/letsencrypt/live/smtp.example.com/fullchain.pem",
            "smtpd_tls_key_file=/etc/letsencrypt/live/smtp.example.com/privkey.pem",
        ]
    );
    assert!(plan(&found, false).unwrap().warnings.is_empty());
}

#[test]
fn each_address_is_a_door() {
    for (interfaces, service, address) in [
        ("all", "submission", "127.0.0.1"),
        ("loopback-only", "submission", "127.0.0.1"),
        ("192.0.2.7, [2001:db8::1]", "587", "192.0.2.7"),
        ("192.0.2.7, 127.0.0.1", "submission", "127.0.0.1"),
        ("all", "[2001:db8::1]:submission", "2001:db8::1"),
        ("all", "0.0.0.0:587", "127.0.0.1"),
    ] {
        let line = SUBMISSION.replace("submission", service);
        let found = found(&[("inet_interfaces", interfaces)], &line, "");
        let sign_in_ports = plan(&found, false).unwrap().sign_in_ports;
        assert_eq!(sign_in_ports.len(), 2);
        assert_eq!(
            sign_in_ports[0].address.to_string(),
            address,
            "{interfaces} {service}"
        );
    }
}
