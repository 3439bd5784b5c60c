//! Plans for configurations as `exim -bP config` of Debian's Exim 4.96 has printed them.

use std::collections::BTreeMap;
use std::path::Path;

use super::blocks::Additions;
use super::found::{Found, OPTIONS, ports, verify};
use super::layout::Layout;
use super::speaks_dovecot;
use crate::doctor::exim::Exim;

/// What plans read of it.
const DEBIAN: &str = "\
# Exim Configuration (4.96)
exim_path = /usr/sbin/exim4
hostlist relay_from_hosts = : 127.0.0.1 : ::::1
MAIN_ACL_CHECK_RCPT = acl_check_rcpt
acl_smtp_mail = acl_check_mail
acl_smtp_rcpt = acl_check_rcpt
acl_smtp_data = acl_check_data

begin acl

  acl_check_mail:
    accept
  acl_check_rcpt:
    accept
    hosts = :
    control = dkim_disable_verify
    deny
    domains = +local_domains
    local_parts = ^[.] : ^.*[@%!/|`#&?]
    message = restricted characters in address
    accept
    authenticated = *
    control = submission/sender_retain
    require
    message = relay not permitted
    domains = +local_domains : +relay_to_domains
    accept
  acl_check_data:
    deny
    condition = ${if > {$max_received_linelength}{998}}
    accept

begin authenticators

  cram_md5:
    driver = cram_md5
    public_name = CRAM-MD5
    client_name = someone

  plain:
    driver = plaintext
    public_name = PLAIN
    client_send = \"<; ^a^b\"
";

/// Returns what was found: Debian's configuration with parts replaced, and with these values.
fn found(replace: &[(&str, &str)], values: &[(&str, &str)]) -> Found {
    let usual = |name: &str| match name {
        "auth_advertise_hosts" | "tls_advertise_hosts" => "*",
        "daemon_smtp_ports" => "smtp",
        "local_interfaces" => "<; ::0 ; 0.0.0.0",
        "exim_user" => "Debian-exim",
        "primary_hostname" => "smtp.example.com",
        _ => "",
    };
    let value = |name: &'static str| {
        let own = values.iter().find(|(own, _)| *own == name);
        let value = own.map_or_else(|| usual(name), |(_, value)| *value);
        (name, value.to_owned())
    };
    let mut text = DEBIAN.to_owned();
    for (from, to) in replace {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Found {
        config: Exim::of(&text),
        values: OPTIONS.map(value).into(),
        taken: Vec::new(),
    }
}

fn refusal(found: &Found) -> String {
    let refused = found.plan().expect_err("refused");
    format!("{refused} {:?}", refused.hint())
}

/// Returns the configuration with additions, as Exim prints it.
fn with(additions: &Additions) -> String {
    let blocks = additions.blocks();
    let joined = |text: &str| {
        let lines = text.replace("\\\n", "\u{1}");
        let parts = lines.split('\u{1}').map(str::trim_start);
        parts.collect::<String>()
    };
    let (main, rest) = DEBIAN.split_once("begin acl\n").unwrap();
    let (acl, authenticators) = rest.split_once("begin authenticators\n").unwrap();
    let main = main
        .replace("_rcpt = acl_check_", "_rcpt = acl_smtpcred_")
        .replace("_data = acl_check_", "_data = acl_smtpcred_");
    format!(
        "{main}begin acl\n{}\n{acl}begin authenticators\n{}\n{authenticators}",
        joined(&blocks.acl),
        blocks.authenticators
    )
}

#[test]
fn debian_gets_ports_and_acls() {
    let additions = found(&[], &[]).plan().unwrap();
    assert_eq!(
        additions,
        Additions {
            options: vec![
                "daemon_smtp_ports = 25 : 587 : 465".into(),
                "tls_on_connect_ports = 465".into()
            ],
            recipient: "acl_check_rcpt".into(),
            data: Some("acl_check_data".into()),
            only_users: vec![587, 465],
        }
    );
    let blocks = additions.blocks();
    let main = blocks.main;
    assert!(main.contains("MAIN_ACL_CHECK_RCPT == acl_smtpcred_rcpt\n"));
    assert!(main.ends_with("tls_on_connect_ports = 465\n"));
    let (recipient, data) = blocks.acl.split_once("acl_smtpcred_data:").unwrap();
    // Everyone signs in at the new ports; then Debian's own ACL decides.
    assert!(recipient.contains("inlist{$received_port}{587:465}"));
    assert!(recipient.ends_with("  require acl = acl_check_rcpt\n  accept\n\n"));
    assert!(recipient.contains("{/run/smtpcred-exim/policy}"));
    // What Debian's ACL refuses does not count.
    assert!(data.starts_with("\n  require acl = acl_check_data\n  warn "));
    assert!(data.ends_with("  accept\n"));
}

#[test]
fn what_doctor_wants_is_added() {
    let additions = found(&[], &[]).plan().unwrap();
    let after = found(&[], &[("daemon_smtp_ports", "25 : 587 : 465")]);
    let text = with(&additions);
    verify(&Exim::of(&text), &after).unwrap();
    // An option that does not name our ACL, and a port that is not there.
    let other = text.replace("acl_smtp_rcpt = acl_smtpcred_rcpt", "acl_smtp_rcpt = other");
    let wrong = verify(&Exim::of(&other), &after).unwrap_err().to_string();
    assert!(wrong.contains("acl_smtp_rcpt with readsocket"), "{wrong}");
    let silent = found(&[], &[("daemon_smtp_ports", "25 : 587")]);
    let wrong = verify(&Exim::of(&text), &silent).unwrap_err().to_string();
    assert!(wrong.contains("would not listen at port 465"), "{wrong}");
}

#[test]
fn ports_that_are_there_stay_as_they_are() {
    let ports = "daemon_smtp_ports = smtp : submission : smtps\ntls_on_connect_ports = 465\n";
    let there = found(
        &[("exim_path", &format!("{ports}exim_path"))],
        &[
            ("daemon_smtp_ports", "smtp : submission : smtps"),
            ("tls_on_connect_ports", "465"),
        ],
    );
    let additions = there.plan().unwrap();
    assert!(additions.options.is_empty());
    assert!(additions.only_users.is_empty());
    assert!(!additions.blocks().acl.contains("sign in first"));
}

/// Parts that are replaced, values, and a part of the reason.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn what_is_not_understood_is_refused() {
    let server = "public_name = plain\n    server_condition = ${if eq{1}{1}}";
    let ours = "smtpcred_plain:\n    server_socket = /run/smtpcred/auth";
    let cases: &[Case] = &[
        (
            &[("public_name = PLAIN", server)],
            &[],
            "the authenticator plain signs users in by plain",
        ),
        (&[("plain:", ours)], &[], "smtpcred_plain was set by hand"),
        (
            &[],
            &[("tls_advertise_hosts", "")],
            "tls_advertise_hosts is \\\"\\\"",
        ),
        (
            &[],
            &[("auth_advertise_hosts", "localhost")],
            "auth_advertise_hosts is",
        ),
        (
            &[],
            &[("local_interfaces", "127.0.0.1.25 : 10.0.0.1")],
            "local_interfaces has \"127.0.0.1.25\"",
        ),
        (
            &[("acl_smtp_rcpt = acl_check_rcpt", "acl_smtp_rcpt = ${acl}")],
            &[],
            "which is not the name of an ACL",
        ),
        (
            &[("acl_smtp_rcpt = acl_check_rcpt\n", "")],
            &[],
            "`accept authenticated = *`",
        ),
        (
            &[("    authenticated = *\n", "")],
            &[],
            "`accept authenticated = *`",
        ),
        (
            // It is a condition of `deny` then.
            &[(
                "    accept\n    authenticated",
                "    deny\n    authenticated",
            )],
            &[],
            "`accept authenticated = *`",
        ),
        (
            &[(
                "    accept\n\nbegin authenticators",
                "    discard\n\nbegin authenticators",
            )],
            &[],
            "acl_check_data discards mail",
        ),
        (
            &[("exim_path", "daemon_smtp_ports = 25 : 587\nexim_path")],
            &[("daemon_smtp_ports", "25 : 587")],
            "daemon_smtp_ports = 25 : 587 : 465",
        ),
        (
            &[],
            &[("tls_on_connect_ports", "587")],
            "tls_on_connect_ports has 587",
        ),
    ];
    for (replace, values, says) in cases {
        let said = refusal(&found(replace, values));
        assert!(
            said.replace("\\\"", "\"")
                .contains(&says.replace("\\\"", "\"")),
            "{said}"
        );
    }
    let mut taken = found(&[], &[]);
    taken.taken.push(465);
    assert!(refusal(&taken).contains("another program listens at port 465"));
}

#[test]
fn an_address_is_one_where_exim_listens() {
    let address = |interfaces| found(&[], &[("local_interfaces", interfaces)]).address();
    assert_eq!(address("<; ::0 ; 0.0.0.0").to_string(), "127.0.0.1");
    assert_eq!(address("").to_string(), "127.0.0.1");
    assert_eq!(address("127.0.0.1 : ::::1").to_string(), "127.0.0.1");
    assert_eq!(address("<; 192.0.2.1 ; ::1").to_string(), "192.0.2.1");
    let warned = |interfaces| {
        let warnings = found(&[], &[("local_interfaces", interfaces)]).warnings();
        warnings.iter().any(|one| one.contains("this machine only"))
    };
    assert!(warned("<; 127.0.0.1 ; ::1"));
    assert!(!warned("<; ::0 ; 0.0.0.0"));
    assert_eq!(ports("<; smtp ; 587;smtps"), [25, 587, 465]);
}

fn layout(split: &str, template: &str) -> Layout {
    let files = [
        (
            "update-exim4.conf.conf",
            format!("dc_readhost=''\ndc_use_split_config='{split}'\n"),
        ),
        ("exim4.conf.template", template.to_owned()),
        ("conf.d/acl/00_header", "begin acl\n".to_owned()),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    Layout::of(Path::new("/etc/exim4"), BTreeMap::from(files)).unwrap()
}

const TEMPLATE: &str = "# main\nbegin acl\n\nacl_check:\n  accept\nbegin authenticators\n";

#[test]
fn small_files_stay_and_get_ours_beside_them() {
    let bare = layout("true", TEMPLATE);
    let with = bare.with(&Additions::default().blocks()).unwrap();
    let changes = bare.changes(&with);
    let names: Vec<_> = changes
        .iter()
        .map(|one| one.path.display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "/etc/exim4/conf.d/acl/10_smtpcred",
            "/etc/exim4/conf.d/auth/10_smtpcred",
            "/etc/exim4/conf.d/main/01_smtpcred"
        ]
    );
    assert!(changes.iter().all(|one| one.before.is_none()));
    assert_eq!(with.bare().unwrap(), bare);
}

#[test]
fn a_template_gets_blocks_that_come_off_again() {
    let bare = layout("false", TEMPLATE);
    let blocks = Additions::default().blocks();
    let with = bare.with(&blocks).unwrap();
    let changes = bare.changes(&with);
    assert_eq!(changes.len(), 1);
    let diff = changes[0].diff();
    assert!(diff.iter().all(|line| !line.starts_with('-')), "{diff:?}");
    let after = String::from_utf8(changes[0].after.clone().unwrap()).unwrap();
    // Macros have to be set before they are used.
    assert!(after.starts_with("# By `smtpcred setup exim`: begin\n.ifdef MAIN_ACL"));
    assert!(after.contains("begin acl\n# By `smtpcred setup exim`: begin\nacl_smtpcred_rcpt:\n"));
    assert_eq!(with.bare().unwrap(), bare);
    assert_eq!(with.bare().unwrap().with(&blocks).unwrap(), with);
    for odd in ["begin acl\n", "begin acl\nbegin authenticators"] {
        let refused = layout("false", odd).with(&blocks).unwrap_err().to_string();
        assert!(refused.contains("`begin authenticators`"), "{refused}");
    }
}

#[test]
fn a_kind_of_configuration_that_debian_does_not_have_is_refused() {
    let files = BTreeMap::from([(
        "update-exim4.conf.conf".to_owned(),
        b"dc_use_split_config=$(choose)\n".to_vec(),
    )]);
    let refused = Layout::of(Path::new("/etc/exim4"), files).unwrap_err();
    assert!(refused.to_string().contains("dc_use_split_config is"));
    let refused = Layout::of(Path::new("/etc/exim4"), BTreeMap::new()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("update-exim4.conf.conf does not exist")
    );
}

#[test]
fn debian_has_an_exim_without_the_protocol() {
    assert!(speaks_dovecot(
        "Exim version 4.96\nAuthenticators: cram_md5 cyrus_sasl dovecot external plaintext spa tls\n"
    ));
    assert!(!speaks_dovecot(
        "Exim version 4.96\nAuthenticators: cram_md5 external plaintext\n"
    ));
}
