//! `smtpcred doctor` on configurations of Postfix, Exim and Dovecot that are wrong
//! in one thing each: it names that one, and nothing else.
//! Long, because each wrong line is one row of a table.

use std::fs;
use std::path::PathBuf;

use crate::support::doctor::{Changed, Ground, with_postfix};
use crate::support::mail::Place;
use crate::support::mail::dovecot::{Dovecot, Passwords};
use crate::support::mail::exim::{self, Exim};
use crate::support::mail::postfix::Postfix;
use crate::support::serve::{Serve, store};
use crate::support::{doctor, mail};

/// A name, a part of master.cf and what it is instead, and what is said of both
/// submission services, whose names are PORT.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const RECIPIENT: &str = "fail postfix PORT smtpd_recipient_restrictions";
const END_OF_DATA: &str = "fail postfix PORT smtpd_end_of_data_restrictions";

const CASES: [Case; 15] = [
    (
        "a socket where nobody is",
        "/smtpcred/auth",
        "/smtpcred/other",
        &["fail postfix PORT smtpd_sasl_path"],
    ),
    (
        "another kind of SASL",
        "smtpd_sasl_type=dovecot",
        "smtpd_sasl_type=cyrus",
        &["fail postfix PORT smtpd_sasl_type"],
    ),
    (
        "no policy service",
        "check_policy_service",
        "check_sasl_access",
        &[RECIPIENT, END_OF_DATA],
    ),
    (
        "a policy service at RCPT alone",
        "smtpd_end_of_data_restrictions",
        "smtpd_etrn_restrictions",
        &[END_OF_DATA],
    ),
    (
        "a policy service at the end alone",
        "smtpd_recipient_restrictions",
        "smtpd_data_restrictions",
        &[RECIPIENT],
    ),
    (
        "a policy service elsewhere",
        "smtpcred/policy",
        "smtpcred/policy-off",
        &[RECIPIENT, END_OF_DATA],
    ),
    (
        "a policy service that is only logged",
        "smtpd_recipient_restrictions = check",
        "smtpd_recipient_restrictions = warn_if_reject check",
        &[RECIPIENT],
    ),
    (
        "users meet the end of a list",
        "default_action=DEFER }, permit_sasl_authenticated, reject",
        "default_action=DEFER }, reject_unauth_destination",
        &["fail postfix PORT smtpd_recipient_restrictions for users"],
    ),
    (
        "no client is let in",
        "smtpd_client_restrictions=",
        "smtpd_client_restrictions=reject",
        &["fail postfix PORT smtpd_client_restrictions for users"],
    ),
    (
        "nobody may relay",
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject",
        "smtpd_relay_restrictions = reject_unauth_destination",
        &["fail postfix PORT smtpd_relay_restrictions"],
    ),
    (
        "users may relay too late",
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject",
        "smtpd_relay_restrictions = reject, permit_sasl_authenticated",
        &["fail postfix PORT smtpd_relay_restrictions"],
    ),
    (
        "some are let through before",
        "smtpd_recipient_restrictions = check",
        "smtpd_recipient_restrictions = permit_mynetworks, check",
        &["warn postfix PORT smtpd_recipient_restrictions order"],
    ),
    (
        "uncounted where serve is away",
        "default_action=DEFER }, permit",
        "default_action=DUNNO }, permit",
        &["warn postfix PORT smtpd_recipient_restrictions default_action"],
    ),
    (
        "senders of an empty table",
        "smtpd_sender_restrictions=",
        "smtpd_sender_restrictions=reject_sender_login_mismatch",
        &["fail postfix PORT smtpd_sender_login_maps"],
    ),
    (
        "two lists of senders",
        "smtpd_sender_restrictions=",
        "smtpd_sender_restrictions=reject_sender_login_mismatch\n  \
         -o smtpd_sender_login_maps=static:x",
        &["warn postfix PORT smtpd_sender_login_maps"],
    ),
];

/// A copy: the one that runs stays as it is.
fn copied(ground: &Ground, postfix: &Postfix) -> PathBuf {
    let folder = ground.place.path().join("copy");
    fs::create_dir(&folder).unwrap();
    for name in ["main.cf", "master.cf"] {
        fs::copy(postfix.config.join(name), folder.join(name)).unwrap();
    }
    folder
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_wrong_in_both_services() {
    with_postfix(|ground, _, postfix| {
        let folder = copied(ground, postfix);
        let args = ground.instead("--config", folder.to_str().unwrap());
        ground.is_sound_with(&args);
        for (name, part, instead, wanted) in CASES {
            let _changed = Changed::replace(&folder.join("master.cf"), part, instead);
            let both = [postfix.submission, postfix.submissions]
                .map(|port| format!("127.0.0.1:{port}/inet"));
            let said: Vec<_> = wanted
                .iter()
                .flat_map(|one| both.each_ref().map(|port| one.replace("PORT", port)))
                .collect();
            let said: Vec<_> = said.iter().map(String::as_str).collect();
            ground.complains_with(name, &args, &said);
        }
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn postfix_wrong_in_one_thing() {
    with_postfix(|ground, _, postfix| {
        let folder = copied(ground, postfix);
        let args = ground.instead("--config", folder.to_str().unwrap());
        let [main, master] = ["main.cf", "master.cf"].map(|name| folder.join(name));
        let auth = ground.place.auth();
        let auth = auth.to_str().unwrap();

        let one = |name: &str, _changed: Changed, wanted: &str| {
            let wanted = wanted.replace("PORT", &format!("127.0.0.1:{}/inet", postfix.submission));
            ground.complains_with(name, &args, &[&wanted]);
        };
        let text = fs::read_to_string(&master).unwrap();
        let (before, clear) = text.split_once("smtpd_tls_security_level=encrypt").unwrap();
        let clear = clear.replacen("smtpd_tls_auth_only=yes", "smtpd_tls_auth_only=no", 1);
        let clear = format!("{before}smtpd_tls_security_level=may{clear}");
        one(
            "passwords in clear",
            Changed::write(&master, clear.as_bytes()),
            "fail postfix PORT smtpd_tls_auth_only",
        );
        let policy = ground.place.policy();
        let chroot = text
            .replace(policy.to_str().unwrap(), "smtpcred/policy")
            .replacen(&format!("={auth}"), "=smtpcred/auth", 2)
            .replace(" inet n - n ", " inet n - y ");
        let sound = Changed::write(&master, chroot.as_bytes());
        ground.is_sound_with(&args);
        drop(sound);
        // Case says nothing to Postfix, and a class stands for a list.
        let other = text
            .replace("smtpd_sasl_auth_enable=yes", "smtpd_sasl_auth_enable=YES")
            .replace(
                "permit_sasl_authenticated, reject",
                "Permit_SASL_authenticated, REJECT",
            )
            .replace(
                "restrictions = check_policy_service",
                "restrictions = mine, Check_Policy_Service",
            );
        let (before, after) = other.split_once("= mine, Check_Policy_Service {").unwrap();
        let (service, after) = after.split_once('}').unwrap();
        let class = format!(
            "smtpd_restriction_classes = mine\nmine = check_policy_service {{{service}}}\n"
        );
        let main_class = Changed::append(&main, &class);
        let other = format!("{before}= mine{after}").replace("= mine, Check", "= Check");
        let sound = Changed::write(&master, other.as_bytes());
        ground.is_sound_with(&args);
        drop((sound, main_class));
        let chroot = chroot.replacen("=smtpcred/auth", &format!("={auth}"), 1);
        one(
            "a path of the outside in a chroot",
            Changed::write(&master, chroot.as_bytes()),
            "fail postfix PORT smtpd_sasl_path",
        );
        one(
            "a name twice",
            Changed::append(&main, "myhostname = other.test\n"),
            "warn postfix main.cf",
        );
        let none = text.replace("smtpd_sasl_auth_enable=yes", "smtpd_sasl_auth_enable=no");
        one(
            "nobody signs in",
            Changed::write(&master, none.as_bytes()),
            "fail postfix master.cf smtpd_sasl_auth_enable",
        );
        let nowhere = ground.instead("--config", "/nowhere");
        let unread = ["fail postfix configuration"];
        ground.complains_with("no configuration", &nowhere, &unread);
    });
}

/// The text of the file, changed in one thing, in a file of its own.
fn with_file(ground: &Ground, text: &str, cases: &[(&str, &str, &str, &str)]) {
    let file = ground.place.path().join("copy.conf");
    fs::write(&file, text).unwrap();
    mail::open(&file, 0o644);
    let args = ground.instead("--config", file.to_str().unwrap());
    ground.is_sound_with(&args);
    for (name, part, instead, wanted) in cases {
        let _changed = Changed::replace(&file, part, instead);
        ground.complains_with(name, &args, &[wanted]);
    }
}

/// A name, a part of Exim's requests and its replacement, and the finding. They include
/// the text that earlier versions printed.
const EXIM_QUESTIONS: [(&str, &str, &str, &str); 7] = [
        (
            "refused recipients counted",
            "recipient_count=$recipients_count",
            "recipient_count=$rcpt_count",
            "fail exim acl_smtp_data with recipient_count=$recipients_count",
        ),
        (
            "no process",
            "protocol_state=END-OF-MESSAGE\\n\\\n            process=$pid\\n",
            "protocol_state=END-OF-MESSAGE\\n",
            "fail exim acl_smtp_data with process=$pid",
        ),
        (
            "no name of the message",
            "recipient=$local_part@$domain\\n\\\n            instance=$acl_m_smtpcred\\n",
            "recipient=$local_part@$domain\\n\\\n            instance=\\n",
            "fail exim acl_smtp_rcpt with instance=$acl_m_smtpcred",
        ),
        (
            "another name of the message at its end",
            "size=$message_size\\n\\\n            instance=$acl_m_smtpcred\\n",
            "size=$message_size\\n\\\n            instance=$message_exim_id\\n",
            "fail exim acl_smtp_data with instance=$acl_m_smtpcred",
        ),
        (
            "users of other authenticators asked about",
            "acl_smtpcred_rcpt:\n  warn    authenticated = smtpcred_plain : smtpcred_login",
            "acl_smtpcred_rcpt:\n  warn    authenticated = *",
            "fail exim acl_smtp_rcpt with authenticated = smtpcred_plain : smtpcred_login",
        ),
        (
            "users of LOGIN without limits",
            "acl_smtpcred_data:\n  warn    authenticated = smtpcred_plain : smtpcred_login",
            "acl_smtpcred_data:\n  warn    authenticated = smtpcred_plain",
            "fail exim acl_smtp_data with authenticated = smtpcred_plain : smtpcred_login",
        ),
        (
            "users of other authenticators put off",
            "  defer   authenticated = smtpcred_plain : smtpcred_login
          condition = ${if !match{$acl_c_smtpcred}{^action=DUNNO}}
          message   = ${if match{$acl_c_smtpcred}{^action=(4..) (.+?)\\\\s*\\$}{$2}{4.3.0 try again later}}
  accept\n\n",
            "  defer   authenticated=*
          condition = ${if !match{$acl_c_smtpcred}{^action=DUNNO}}
          message   = ${if match{$acl_c_smtpcred}{^action=(4..) (.+?)\\\\s*\\$}{$2}{4.3.0 try again later}}
  accept\n\n",
            "fail exim acl_smtp_data with authenticated = smtpcred_plain : smtpcred_login",
        ),
];

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn the_configuration_of_exim() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let [auth, policy] = [place.auth(), place.policy()].map(|path| path.display().to_string());
    let sockets = ["--auth", &auth, "--policy", &policy];
    let text = sandbox.ok(&[&["show-server-config", "exim"], &sockets[..]].concat());
    let exim = Exim::start(&place, &exim::Setup::shipped(&text));
    let ground = Ground::new(&sandbox, &place, "exim", &exim.config)
        .ports(exim.submission, exim.submissions)
        .with_programs(exim.config.parent().unwrap());
    ground.is_sound();
    let cases = [
        (
            "a socket where nobody is",
            &format!("server_socket = {auth}") as &str,
            "server_socket = /run/other/auth",
            &format!("fail exim server_socket = {auth}") as &str,
        ),
        (
            "a socket where nobody is, for LOGIN",
            &format!("public_name = LOGIN\n  server_socket = {auth}"),
            "public_name = LOGIN\n  server_socket = /run/other/auth",
            &format!("fail exim server_socket = {auth}"),
        ),
        (
            "AUTH without TLS",
            "auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}",
            "auth_advertise_hosts = *",
            "fail exim auth_advertise_hosts, over TLS only",
        ),
        (
            "no LOGIN",
            "public_name = LOGIN",
            "public_name = CRAM-MD5",
            "fail exim public_name = LOGIN",
        ),
        (
            "nobody is known by name",
            "server_set_id = $auth1",
            "server_condition = true",
            "fail exim server_set_id = $auth1",
        ),
        (
            "no limits at RCPT",
            "acl_smtp_rcpt = acl_smtpcred_rcpt",
            "acl_smtp_rcpt = acl_smtpcred_data",
            &format!("fail exim acl_smtp_rcpt with readsocket{{{policy}}} for RCPT"),
        ),
        (
            "nothing counted",
            "acl_smtp_data = acl_smtpcred_data",
            "acl_smtp_mime = acl_smtpcred_data",
            &format!("fail exim acl_smtp_data with readsocket{{{policy}}} for END-OF-MESSAGE"),
        ),
    ];
    let text = fs::read_to_string(&exim.config).unwrap();
    with_file(&ground, &text, &cases);
    with_file(&ground, &text, &EXIM_QUESTIONS);
    // As it may be written, too.
    let other = text
        .replace("driver = dovecot", "driver=dovecot")
        .replace("public_name = PLAIN", "public_name=PLAIN")
        .replacen(
            "acl_smtpcred_rcpt:\n",
            "acl_smtpcred_rcpt:\n  accept hosts = :\n",
            1,
        );
    assert!(other.contains("hosts = :") && other.contains("driver=dovecot"));
    with_file(&ground, &other, &[]);
    // With its own names, and beside a real Dovecot for other users.
    let mut other = text
        .replace("smtpcred_", "relay_")
        .replace("acl_m_smtpcred", "acl_m_message")
        .replace("acl_c_smtpcred", "acl_c_answer")
        .replace("$recipients_count", "${recipients_count}");
    other += "\nothers:
  driver = dovecot
  public_name = CRAM-MD5
  server_socket = /run/dovecot/auth-client
  server_set_id = $auth1\n";
    with_file(&ground, &other, &[]);
    for name in ["auth", "policy"] {
        let _set = doctor::Mode::set(&place.sockets().join(name), 0o660);
        let said = format!("fail exim access to {name}");
        ground.complains("Exim may not connect", &[&said]);
    }
}

#[test]
#[ignore = "needs root, Postfix and Dovecot: run tests/run"]
fn the_configuration_of_dovecot() {
    with_postfix(|ground, _, _| {
        let text = ground.sandbox.ok(&["show-server-config", "dovecot"]);
        let dovecot = Dovecot::start(ground.place, &Passwords::Shipped(text));
        let config = dovecot.config.clone();
        let args = ground.instead("--server", "dovecot");
        let text = fs::read_to_string(&config).unwrap();
        let dovecot = ground.with_args(args);
        let worker = |lines: &str| format!("protocols =\nservice auth-worker {{\n{lines}\n}}\n");
        let cases = [
            (
                "a cache",
                "auth_cache_size = 0",
                "auth_cache_size = 10M",
                "fail dovecot auth_cache_size",
            ),
            (
                "little memory for who hashes",
                "protocols =\n",
                &worker("vsz_limit = 24M"),
                "fail dovecot service auth-worker vsz_limit",
            ),
            (
                "little memory for all",
                "protocols =\n",
                "protocols =\ndefault_vsz_limit = 24M\n",
                "fail dovecot service auth-worker vsz_limit",
            ),
            (
                "somebody who may not read the store",
                "protocols =\n",
                &worker("user = daemon"),
                "fail dovecot service auth-worker user",
            ),
            (
                "no second password",
                "smtpcred-overlap.conf.ext",
                "smtpcred.conf.ext",
                "fail dovecot dovecot_overlap",
            ),
        ];
        with_file(&dovecot, &text, &cases);
    });
}
