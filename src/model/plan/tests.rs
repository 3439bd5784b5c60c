use super::*;
use crate::model::address_rules::AddressMode;

fn plan(text: &str) -> Plan {
    Plan::parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// `line key: reason`
fn wrong(text: &str) -> Vec<String> {
    let problems = Plan::parse(text.as_bytes()).expect_err("something is wrong");
    let shown = problems.into_iter().map(|problem| {
        let line = problem.line.map(|line| format!("{line} "));
        format!(
            "{}{}: {}",
            line.unwrap_or_default(),
            problem.key,
            problem.reason
        )
    });
    shown.collect()
}

#[test]
fn all_there_is_can_be_said() {
    let plan = plan(
        r#"
        [settings]
        host = "SMTP.example.com"
        ports = [587, 465]
        argon2 = "m=47104,t=1,p=1"
        accept_hash = ["argon2", "bcrypt"]
        day = "UTC"
        allow_insecure = false
        require_verified_domains = true
        ignore_addresses = "none"
        keep_messages = "30d"
        keep_recipients = "domain"
        daily_limit = 100_000
        limits = { "recipients/hour" = "none" }
        on_limit = "reject"
        rotate_every = "90d"
        deliver = "put-secret '{username} now'"
        deliver_timeout = "2m"
        write_file = "/run/{username}"
        write_env = "none"
        env_name = "MAIL_PASSWORD"

        [domains."Bücher.example"]
        host = "none"
        max_users = 10
        addresses = "learn"
        learn = "14d"
        unknown_address = "none"
        allowed_addresses = ["192.0.2.7", "192.0.2.0/24", "192.0.2.7/32"]
        daily_limit = "none"

        [users."Shop@example.com"]
        label = "Shop"
        daily_limit = 0x10
        limits = { "messages/hour" = 5 }
        senders = ["news@example.org", "example.com", "EXAMPLE.com"]
        expires_at = 2027-06-30
        suspended = true

        [users."b@example.com"]
        expires_at = 2027-06-30T18:00:00+02:00
        senders = "none"
        "#,
    );
    let settings = plan.settings.unwrap();
    assert_eq!(settings.ports.unwrap().to_string(), "587,465");
    assert_eq!(settings.accept_hash.unwrap().to_string(), "argon2,bcrypt");
    let kinds: Vec<_> = settings
        .common
        .limits
        .iter()
        .map(|l| l.kind.to_string())
        .collect();
    assert_eq!(kinds, ["recipients/hour", "messages/day"]);
    assert_eq!(settings.common.rotation.write_env, Some(Setting::None));
    let (name, domain) = plan.domains.first_key_value().unwrap();
    assert_eq!(name.as_str(), "xn--bcher-kva.example");
    assert_eq!(domain.daily_limit, Some(Setting::None));
    let addresses = &domain.common.addresses;
    assert_eq!(addresses.mode, Some(Setting::Some(AddressMode::Learn)));
    assert_eq!(addresses.unknown, Some(Setting::None));
    assert_eq!(domain.common.allowed.as_ref().unwrap().len(), 2);
    assert_eq!(settings.ignore_addresses, Some(Vec::new()));
    assert_eq!(settings.keep_messages.unwrap().to_string(), "30d");
    assert_eq!(settings.keep_recipients.unwrap().name(), "domain");
    let users: Vec<_> = plan.users.keys().map(Username::as_str).collect();
    assert_eq!(users, ["b@example.com", "shop@example.com"]);
    let shop = &plan.users[&"shop@example.com".parse().unwrap()];
    assert_eq!(
        shop.daily_limit
            .clone()
            .and_then(Setting::value)
            .unwrap()
            .get(),
        16
    );
    let senders = shop.senders.as_ref().unwrap();
    assert_eq!(senders.len(), 2, "{senders:?}");
    let expires = shop.expires_at.clone().and_then(Setting::value).unwrap();
    assert_eq!(expires.to_string(), "2027-06-30T00:00:00Z");
}

#[test]
fn all_that_is_wrong_is_told_at_once_by_line() {
    let said = wrong(
        r#"[settings]
hosts = "smtp.example.com"
ports = [587, 26]
allow_insecure = "yes"
write_file = "/etc/passwords"

[domains."example"]
[domains."example.com"]
max-users = 5
daily_limit = 0
limits = { "messages/week" = 1, "messages/hour" = -1 }
[domains."EXAMPLE.com"]

[users."shop@example.com"]
label = 5
expires_at = 2027-06-30T18:00:00
expires_in = "90d"
write_file = "relative"
daily_limit = 5
limits = { "messages/day" = 6 }
senders = ["localhost"]
[users]
crm = "x"
[extra]
"#,
    );
    for expected in [
        "2 settings.hosts: is unknown; did you mean host?",
        "3 settings.ports: '587,26' is not",
        "4 settings.allow_insecure: is a string, but must be true or false",
        "5 settings.write_file: would be shared by all users",
        "7 domains.example: 'example' is not a valid domain",
        "9 domains.\"example.com\".max-users: is unknown; did you mean max_users?",
        "10 domains.\"example.com\".daily_limit: '0' is not a valid limit",
        "11 domains.\"example.com\".limits: 'messages/hour': '-1' is not a valid limit",
        "12 domains.\"EXAMPLE.com\": is example.com, which is named twice",
        "15 users.\"shop@example.com\".label: is a number, but must be a string",
        "16 users.\"shop@example.com\".expires_at: '2027-06-30T18:00:00' is not",
        "17 users.\"shop@example.com\".expires_in: is relative",
        "18 users.\"shop@example.com\".write_file: 'relative' does not begin with /",
        "19 users.\"shop@example.com\".daily_limit: is the same as messages/day",
        "21 users.\"shop@example.com\".senders: 'localhost' is not",
        "23 users.crm: is a string, but must be a table",
        "24 extra: is unknown; known are domains, settings, users",
    ] {
        assert!(
            said.iter().any(|line| line.contains(expected)),
            "{expected}\n{said:#?}"
        );
    }
    assert_eq!(said.len(), 17, "{said:#?}");
    let limits = said.iter().find(|line| line.starts_with("11 ")).unwrap();
    assert!(
        limits.contains("'messages/week' is not a valid limit"),
        "{limits}"
    );
}

#[test]
fn secrets_are_refused_and_never_repeated() {
    for key in [
        "password",
        "Password",
        "hash",
        "old_hash",
        "smtp-secret",
        "api_token",
    ] {
        let said = wrong(&format!("[users.\"a@example.com\"]\n{key} = \"hunter2\"\n"));
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("contains no secrets"), "{said:?}");
        assert!(!said[0].contains("hunter2"), "{said:?}");
    }
    let said = wrong("[users.\"a@example.com\"]\npassword = hunter2\n");
    assert!(!said.concat().contains("hunter2"), "{said:?}");
}

#[test]
fn mistakes_in_the_syntax_come_with_their_lines() {
    let said = wrong("[settings]\nhost = \n\n[domains.\nmax_users == 3\n");
    assert!(
        said.iter().any(|line| line.starts_with("2 : invalid TOML")),
        "{said:?}"
    );
    assert!(
        said.iter().any(|line| line.starts_with("4 : invalid TOML")),
        "{said:?}"
    );
    let said = wrong("[domains.example.com]\nmax_users = 3\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].ends_with("a name with a dot stands in quotes: \"example.com\""),
        "{said:?}"
    );
    let said = wrong("[settings]\nhost = \"a.example\"\nhost = \"b.example\"\n");
    assert!(
        said[0].starts_with("3 : invalid TOML: duplicate key"),
        "{said:?}"
    );
}

#[test]
fn hostile_plans_are_refused() {
    assert_eq!(wrong(""), wrong("# nothing\n"));
    assert!(wrong("")[0].contains("the plan is empty"));
    assert!(
        Plan::parse(b"\xef\xbb\xbf[settings]\n").is_ok(),
        "a byte order mark"
    );
    let said = Plan::parse(b"[settings]\nhost = \"\xff\"\n").unwrap_err();
    assert_eq!(
        (said[0].line, said[0].reason.as_str()),
        (Some(2), "is not UTF-8")
    );
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(!wrong(&deep).is_empty());
    let many: Vec<_> = (0..5000).map(|n| format!("k{n} = 1")).collect();
    let said = wrong(&many.join("\n"));
    assert_eq!(said.len(), 1001);
    assert!(said[1000].contains("and 4000 more"), "{}", said[1000]);
    let said = wrong("[users.\"a\\u001b[31m@example.com\"]\n\"\\u001b]0;x\" = 1\n");
    assert!(!said.concat().contains('\u{1b}'), "{said:?}");
}
