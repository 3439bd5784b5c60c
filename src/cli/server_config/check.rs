//! Whether a mail server is set up for smtpcred, as its own tools tell.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::{Server, Sockets};
use crate::cli::output::Record;
use crate::error::{Error, Result};

/// One thing that was looked at.
#[derive(Serialize)]
pub struct Finding {
    /// Of which service or file.
    place: String,
    wanted: String,
    found: String,
    pub good: bool,
}

pub fn check(
    server: Server,
    config: Option<&Path>,
    sockets: &Sockets,
    store: &str,
) -> Result<Vec<Finding>> {
    match server {
        Server::Postfix => postfix(config, sockets),
        Server::Exim => exim(config, sockets),
        Server::Dovecot => dovecot(config, store),
    }
}

/// The services that sign users in, each with what it sets itself, and else
/// what main.cf says.
fn postfix(config: Option<&Path>, sockets: &Sockets) -> Result<Vec<Finding>> {
    let folder = config.map(|path| path.display().to_string());
    let asked = |args: &[&str]| {
        let folder = folder.iter().flat_map(|folder| ["-c", folder.as_str()]);
        let args: Vec<_> = folder.chain(args.iter().copied()).collect();
        output("postconf", &args)
    };
    // `submission/inet/smtpd_sasl_path = …`
    let overrides = asked(&["-P"])?;
    let services: Vec<_> = asked(&["-M"])?
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let listens = fields.get(1) == Some(&"inet") && fields.get(7) == Some(&"smtpd");
            listens.then(|| format!("{}/inet", fields[0]))
        })
        .collect();
    let value = |service: &str, name: &str| -> Result<String> {
        let own = format!("{service}/{name} = ");
        match overrides.lines().find_map(|line| line.strip_prefix(&own)) {
            Some(value) => Ok(value.trim().to_owned()),
            None => Ok(asked(&["-h", name])?.trim().to_owned()),
        }
    };
    let mut findings = Vec::new();
    for service in &services {
        if value(service, "smtpd_sasl_auth_enable")? != "yes" {
            continue;
        }
        let mut equal = |name: &str, wanted: &str| -> Result<()> {
            let found = value(service, name)?;
            findings.push(Finding::new(
                service,
                &format!("{name} = {wanted}"),
                &found,
                found == wanted,
            ));
            Ok(())
        };
        equal("smtpd_sasl_type", "dovecot")?;
        equal("smtpd_sasl_path", &sockets.auth)?;
        let encrypts = value(service, "smtpd_tls_auth_only")? == "yes"
            || value(service, "smtpd_tls_security_level")? == "encrypt"
            || value(service, "smtpd_tls_wrappermode")? == "yes";
        let found = if encrypts {
            "yes"
        } else {
            "passwords may come in clear"
        };
        findings.push(Finding::new(
            service,
            "smtpd_tls_auth_only = yes",
            found,
            encrypts,
        ));
        for name in [
            "smtpd_recipient_restrictions",
            "smtpd_end_of_data_restrictions",
        ] {
            let found = value(service, name)?;
            let good = found.contains("check_policy_service") && found.contains(&sockets.policy);
            let wanted = format!("{name} with check_policy_service … {}", sockets.policy);
            findings.push(Finding::new(service, &wanted, &found, good));
        }
    }
    if findings.is_empty() {
        let found = "no service signs users in";
        findings.push(Finding::new(
            "master.cf",
            "smtpd_sasl_auth_enable = yes",
            found,
            false,
        ));
    }
    Ok(findings)
}

fn exim(config: Option<&Path>, sockets: &Sockets) -> Result<Vec<Finding>> {
    let file = config.map(|path| path.display().to_string());
    let from = file.iter().flat_map(|file| ["-C", file.as_str()]);
    let args: Vec<_> = from.chain(["-bP", "config"]).collect();
    // The name differs from system to system.
    let config = output("exim4", &args).or_else(|_| output("exim", &args))?;
    let lines: Vec<_> = config.lines().map(str::trim).collect();
    let has = |wanted: &dyn Fn(&str) -> bool| lines.iter().any(|line| wanted(line));
    let said = |good: bool| if good { "yes" } else { "not there" };
    let place = "exim -bP config";
    let mut findings = Vec::new();
    let mut add = |wanted: &str, good: bool| {
        findings.push(Finding::new(place, wanted, said(good), good));
    };
    for name in ["PLAIN", "LOGIN"] {
        let wanted = format!("public_name = {name}");
        add(&wanted, has(&|line| line == wanted));
    }
    add("driver = dovecot", has(&|line| line == "driver = dovecot"));
    let socket = format!("server_socket = {}", sockets.auth);
    add(&socket, has(&|line| line == socket));
    add(
        "auth_advertise_hosts, over TLS only",
        has(&|line| line.starts_with("auth_advertise_hosts") && line.contains("tls_")),
    );
    let policy = format!("readsocket{{{}}}", sockets.policy);
    for (option, stage) in [
        ("acl_smtp_rcpt", "RCPT"),
        ("acl_smtp_data", "END-OF-MESSAGE"),
    ] {
        let used = acl(&lines, option);
        let asks = used.iter().any(|line| line.contains(&policy))
            && used
                .iter()
                .any(|line| line.contains(&format!("protocol_state={stage}")));
        add(&format!("{option} with {policy} for {stage}"), asks);
    }
    Ok(findings)
}

/// The lines of the ACL that an option names.
fn acl<'a>(lines: &[&'a str], option: &str) -> Vec<&'a str> {
    let named = lines.iter().find_map(|line| {
        let (name, acl) = line.split_once('=')?;
        (name.trim() == option).then(|| acl.trim())
    });
    let Some(name) = named else {
        return Vec::new();
    };
    let begins = |line: &str| line.strip_suffix(':').map(str::to_owned);
    let rest = lines
        .iter()
        .skip_while(|line| begins(line).as_deref() != Some(name));
    rest.skip(1)
        .take_while(|line| begins(line).is_none() && !line.starts_with("begin "))
        .copied()
        .collect()
}

fn dovecot(config: Option<&Path>, store: &str) -> Result<Vec<Finding>> {
    let file = config.map(|path| path.display().to_string());
    let from = file.iter().flat_map(|file| ["-c", file.as_str()]);
    let args: Vec<_> = from.chain(["-n"]).collect();
    let mut config = output("doveconf", &args)?;
    // 2.3 keeps the queries in files of their own.
    let more: Vec<_> = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("args = "))
        .filter_map(|path| fs::read_to_string(path.trim()).ok())
        .collect();
    config.push_str(&more.join("\n"));
    let place = "doveconf -n";
    let has = |wanted: &dyn Fn(&str) -> bool| config.lines().any(|line| wanted(line.trim()));
    let names = |line: &str, name: &str| line.split_whitespace().any(|word| word == name);
    let mut findings: Vec<_> = [
        ("driver = sql", has(&|line| line == "driver = sql")),
        (
            store,
            has(&|line| line.contains(" = ") && names(line, store)),
        ),
        ("dovecot_users", has(&|line| names(line, "dovecot_users"))),
        (
            "dovecot_overlap",
            has(&|line| names(line, "dovecot_overlap")),
        ),
    ]
    .into_iter()
    .map(|(wanted, good)| {
        let found = if good { "yes" } else { "not there" };
        Finding::new(place, wanted, found, good)
    })
    .collect();
    let cache = config
        .lines()
        .find_map(|line| line.trim().strip_prefix("auth_cache_size = "))
        .unwrap_or("0");
    // "10M", or "0" with whatever unit.
    let off = cache.starts_with('0');
    findings.push(Finding::new(place, "auth_cache_size = 0", cache, off));
    Ok(findings)
}

impl Finding {
    fn new(place: &str, wanted: &str, found: &str, good: bool) -> Self {
        Self {
            place: place.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
            good,
        }
    }
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["", "Where", "Wanted", "Found"];

    fn cells(&self) -> Vec<String> {
        vec![
            if self.good { "ok" } else { "FAIL" }.to_owned(),
            self.place.clone(),
            self.wanted.clone(),
            self.found.clone(),
        ]
    }

    const FIELDS: &'static [&'static str] = &["place", "wanted", "found", "good"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.place.clone(),
            self.wanted.clone(),
            self.found.clone(),
            self.good.to_string(),
        ]
    }
}

fn output(program: &str, args: &[&str]) -> Result<String> {
    // Where Debian keeps them, also for users whose PATH is shorter.
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = Command::new(program)
        .args(args)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .map_err(|e| Error::System(format!("{program} cannot be run: {e}")))?;
    if !ran.status.success() {
        let reason = String::from_utf8_lossy(&ran.stderr);
        return Err(Error::System(format!("{program}: {}", reason.trim())));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}
