//! Plans for configurations as `doveconf -n` of Dovecot 2.3 and 2.4 has printed them.

use super::plan::{Drafted, Found, plan, query_files};
use crate::error::Error;

/// Debian 12, as installed.
const OLD: &str = "\
# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
mail_location = mbox:~/mail:INBOX=/var/mail/%u
namespace inbox {
  inbox = yes
  mailbox Drafts {
    special_use = \\Drafts
  }
  prefix =
}
passdb {
  driver = pam
}
ssl_cert = </etc/dovecot/private/dovecot.pem
userdb {
  driver = passwd
}
";
/// Debian 13, as installed.
const NEW: &str = "\
# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
passdb pam {
}
userdb passwd {
}
service auth {
  unix_listener auth-userdb {
  }
}
";
/// A listener for Postfix.
const LISTENER: &str = "\
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
";
const PAM: &str = "passdb {\n  driver = pam\n}\n";

fn found(config: &str) -> Found {
    Found {
        version: config["# ".len()..].split(':').next().unwrap().to_owned(),
        main: "/etc/dovecot/dovecot.conf".into(),
        text: "# a note\n!include conf.d/*.conf\n!include_try local.conf\n".into(),
        config: config.into(),
        queries: Vec::new(),
        own: false,
        mechanisms: "plain".into(),
        username_format: "%Lu".into(),
        worker: String::new(),
        reads_sqlite: true,
        schemes: "SHA1 ARGON2I ARGON2ID SSHA256".into(),
        store: "/var/lib/smtpcred/smtpcred.db".into(),
    }
}

fn planned(found: &Found) -> Drafted {
    plan(found).unwrap()
}

/// Returns why nothing is changed.
fn refusal(found: &Found) -> String {
    match plan(found) {
        Err(Error::SetupRefused { reason, cure }) => format!("{reason}; {cure}"),
        other => panic!("{other:?}"),
    }
}

fn text<'a>(drafted: &'a Drafted, file: &str) -> &'a str {
    let mut files = drafted.files.iter();
    let found = files.find(|(path, _)| path.ends_with(file));
    &found.unwrap_or_else(|| panic!("{file}: {drafted:?}")).1
}

#[test]
fn the_old_syntax_has_files_for_the_queries() {
    let drafted = planned(&found(OLD));
    let paths: Vec<_> = drafted
        .files
        .iter()
        .map(|(path, _)| path.to_str())
        .collect();
    assert_eq!(
        paths,
        [
            Some("/etc/dovecot/dovecot-sql-smtpcred.conf.ext"),
            Some("/etc/dovecot/dovecot-sql-smtpcred-overlap.conf.ext"),
            Some("/etc/dovecot/conf.d/00-smtpcred.conf"),
        ]
    );
    let config = text(&drafted, "00-smtpcred.conf");
    for path in &paths[..2] {
        let passdb = format!(
            "passdb {{\n  driver = sql\n  args = {}\n}}\n",
            path.unwrap()
        );
        assert!(config.contains(&passdb), "{config}");
    }
    assert_eq!(
        text(&drafted, "dovecot-sql-smtpcred-overlap.conf.ext"),
        "# By `smtpcred setup dovecot`.\n\
         driver = sqlite\n\
         connect = /var/lib/smtpcred/smtpcred.db\n\
         # For mail servers alone: these passwords open no mailbox.\n\
         password_query = SELECT username AS user, password FROM dovecot_overlap \
         WHERE username = '%u' AND '%s' = 'smtp'\n"
    );
    assert_eq!(
        drafted.warnings,
        [
            "users of the passdb pam can still sign in",
            "no mail server asks Dovecot yet: its `service auth` has no listener for one"
        ]
    );
    let asked = planned(&found(&format!("{OLD}{LISTENER}")));
    assert_eq!(asked.warnings.len(), 1, "{asked:?}");
}

#[test]
fn the_new_syntax_has_one_file() {
    let drafted = planned(&found(NEW));
    assert_eq!(drafted.files.len(), 1);
    let config = text(&drafted, "conf.d/00-smtpcred.conf");
    let passdb = "\
passdb smtpcred {
  driver = sql
  sql_driver = sqlite
  sqlite_path = /var/lib/smtpcred/smtpcred.db
  sql_query = SELECT username AS user, password FROM dovecot_users WHERE username = '%{user}' AND '%{protocol}' = 'smtp'
}
";
    assert!(config.contains(passdb), "{config}");
    assert_eq!(drafted.warnings.len(), 2, "{drafted:?}");
}

/// What is there once the files are in place gives the same files again.
#[test]
fn a_second_plan_is_the_same() {
    for base in [OLD, NEW, &OLD.replace(PAM, "")] {
        let mut found = found(base);
        let first = planned(&found);
        found.own = true;
        let config = text(&first, "00-smtpcred.conf").to_owned();
        found.config.push_str(&config);
        let texts = first.files.iter();
        found.queries = texts
            .map(|(path, text)| (path.display().to_string(), text.clone()))
            .collect();
        assert_eq!(planned(&found), first);
    }
}

#[test]
fn other_passdbs_keep_dovecots_care_for_names() {
    let line = |config: &str| {
        let drafted = planned(&found(config));
        let text = text(&drafted, "00-smtpcred.conf");
        let mut lines = text.lines();
        lines
            .find(|line| line.starts_with("auth_username_chars"))
            .map(str::to_owned)
    };
    assert!(line(OLD).unwrap().ends_with(".-_@+"));
    assert_eq!(
        line(&OLD.replace(PAM, "")).as_deref(),
        Some("auth_username_chars =")
    );
    let own = format!("{OLD}auth_username_chars = abc@\n");
    assert_eq!(line(&own), None);
    let warned = planned(&found(&own)).warnings;
    assert!(
        warned.iter().any(|one| one.contains("= abc@")),
        "{warned:?}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let with = |change: &dyn Fn(&mut Found)| {
        let mut found = found(OLD);
        change(&mut found);
        refusal(&found)
    };
    let added = |text: &str| with(&|found| found.config.push_str(text));
    let cases = [
        (
            with(&|found| found.mechanisms = "digest-md5 cram-md5".into()),
            "auth_mechanisms = digest-md5 cram-md5 lacks plain",
        ),
        (
            with(&|found| found.username_format = "%Ln".into()),
            "auth_username_format = %Ln",
        ),
        (
            with(&|found| found.reads_sqlite = false),
            "apt install dovecot-sqlite",
        ),
        (with(&|found| found.schemes = "SHA1".into()), "ARGON2ID"),
        (
            with(&|found| found.worker = "dovecot".into()),
            "auth-worker runs as dovecot",
        ),
        (
            with(&|found| found.text = "#!include conf.d/*.conf\n".into()),
            "/etc/dovecot/dovecot.conf does not include conf.d/*.conf",
        ),
        (
            with(&|found| found.store = "/srv/it's here".into()),
            "/srv/it's here",
        ),
        (
            with(&|found| found.version = "2.2.36".into()),
            "does not know Dovecot 2.2.36",
        ),
        (added("auth_cache_size = 10 M\n"), "auth_cache_size = 10 M"),
        (
            added(
                "passdb {\n  args = /etc/dovecot/deny\n  deny = yes\n  driver = passwd-file\n}\n",
            ),
            "a passdb denies users",
        ),
        (
            added("passdb {\n  args = password=secret\n  driver = static\n}\n"),
            "accepts any password",
        ),
        (
            added("passdb {\n  args = nopassword=y\n  driver = passwd-file\n}\n"),
            "accepts any password",
        ),
        (
            added("protocol imap {\n  passdb pam {\n  }\n}\n"),
            "inside `protocol imap`",
        ),
    ];
    for (said, part) in cases {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// As show-server-config prints it for 2.3.
fn old_by_hand() -> Found {
    let mut found = found(OLD);
    for view in ["users", "overlap"] {
        let file = format!("/etc/dovecot/{view}.conf.ext");
        let passdb = format!("passdb {{\n  args = {file}\n  driver = sql\n}}\n");
        found.config.push_str(&passdb);
        let query = format!(
            "driver = sqlite\nconnect = {}\npassword_query = SELECT username AS user, password \
             FROM dovecot_{view} WHERE username = '%u'\n",
            found.store
        );
        found.queries.push((file, query));
    }
    found
}

/// The same for 2.4.
fn new_by_hand() -> Found {
    let mut found = found(NEW);
    found.config.push_str("sql_driver = sqlite\n");
    let store = format!("sqlite_path = {}\n", found.store);
    found.config.push_str(&store);
    for (name, view) in [("smtpcred", "users"), ("smtpcred_overlap", "overlap")] {
        let passdb = format!(
            "passdb {name} {{\n  driver = sql\n  sql_query = SELECT username AS user, password \
             FROM dovecot_{view} WHERE username = '%{{user}}'\n}}\n"
        );
        found.config.push_str(&passdb);
    }
    found
}

#[test]
fn right_passdbs_made_by_hand_stay() {
    for mut found in [old_by_hand(), new_by_hand()] {
        // They may be in any file.
        found.text.clear();
        assert_eq!(planned(&found), Drafted::default(), "{}", found.config);
        found.config.push_str("auth_cache_size = 10 M\n");
        assert!(refusal(&found).contains("auth_cache_size = 10 M"));
    }
    let found = old_by_hand();
    assert_eq!(query_files(&found.config).len(), 2);
}

#[test]
fn other_passdbs_made_by_hand_are_refused() {
    let changed = |change: &dyn Fn(&str) -> String| {
        for mut found in [old_by_hand(), new_by_hand()] {
            found.config = change(&found.config);
            for (_, text) in &mut found.queries {
                *text = change(text);
            }
            let said = refusal(&found);
            assert!(said.contains("reads a store of smtpcred"), "{said}");
        }
    };
    let replaced = |from: &'static str, to: &'static str| {
        changed(&move |text| text.replace(from, to));
    };
    replaced("/var/lib/smtpcred/smtpcred.db", "/srv/old.db");
    // One view twice, the other not at all.
    replaced("dovecot_overlap", "dovecot_users");
    replaced("WHERE username", "WHERE user");
    replaced("SELECT username AS user, password", "SELECT password");
    replaced(
        "  driver = sql\n",
        "  driver = sql\n  skip = authenticated\n",
    );
}
