//! `smtpcred set-settings`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::record::{InstallationRecord, limits_in_a_row};
use crate::app::messages::kept;
use crate::cli::allowing::{confirm_everything, in_list};
use crate::cli::args::addresses::AddressArgs;
use crate::cli::args::alerts::AlertArgs;
use crate::cli::args::limits::LimitArgs;
use crate::cli::args::rotation::RotationArgs;
use crate::cli::changes;
use crate::cli::context::Context;
use crate::cli::terminal::record::Record;
use crate::error::{self, Error};
use crate::model::address_rules::{AddressChange, AddressRules};
use crate::model::alert_rules::AlertRules;
use crate::model::day::Day;
use crate::model::hash::{AcceptedSchemes, Cost};
use crate::model::limit_kind::LimitKind;
use crate::model::limits::LimitSetting;
use crate::model::message_rules::{KeepMessages, KeptRecipients};
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::rotation::RotationRules;
use crate::model::setting::Setting;
use crate::model::settings::{Ports, Settings};
use crate::model::text::count;
use crate::store::{Access, SettingsChange};

const HELP: &str = "\
Examples:
  smtpcred set-settings --host smtp.example.com
  smtpcred set-settings --ports 587,465
  smtpcred set-settings --argon2 m=47104,t=1,p=1
  smtpcred set-settings --accept-hash argon2,bcrypt,sha512-crypt
  smtpcred set-settings --limit messages/hour=5000 --day Europe/Berlin
  smtpcred set-settings --rotate-every 180d
  smtpcred set-settings --keep-messages 30d --keep-recipients domain
  smtpcred set-settings --allow 10.0.0.0/8 --ignore-address 192.0.2.1
  smtpcred set-settings --alert-mail you@example.org --alert limit=90% --no-alert guesses

JSON:
  {host, ports, argon2, accept_hash, day, allow_insecure, require_verified_domains,
  limits: {KIND: N}, on_limit, addresses, unknown_address, learn_seconds, allowed_addresses,
  ignore_addresses, keep_messages_seconds, keep_recipients, rotate_every_seconds,
  delivery: {command, write_file, write_env, env_name, timeout_seconds}, alerts: {KIND: VALUE},
  alert_exec: [[WORD]], alert_mail: [ADDRESS]}.

Argon2id:
  The minimum is OWASP's: m=47104,t=1 or m=19456,t=2 or m=12288,t=3 or m=9216,t=4 or m=7168,t=5. The
  maximum is m=1048576 (1 GiB), t=16, p=16. The default is m=19456,t=2,p=1.

Hashes of other systems:
  --accept-hash restricts what `user import` accepts; users that exist can still sign in. all, or,
  separated by commas, some of argon2, scrypt, yescrypt, bcrypt, pbkdf2, scram, sha512-crypt,
  sha256-crypt, md5-crypt, ssha512, ssha256, ssha, smd5, sha512, sha256, sha, md5, plain.";

/// Change the installation's settings
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct SetSettings {
    /// Set the server that applications connect to, or none
    #[arg(long, value_name = "HOST")]
    host: Option<Setting<HostName>>,

    /// Set which of the ports 587, 465, 2525 and 25 this relay offers
    #[arg(long, value_name = "PORTS")]
    ports: Option<Ports>,

    /// Set the cost of new hashes: memory in KiB, passes, lanes
    ///
    /// Weaker hashes are replaced when their password is next verified.
    #[arg(long, value_name = "m=…,t=…,p=…")]
    argon2: Option<Cost>,

    /// Let `user import` accept these hashes: all, or some of argon2,scrypt,yescrypt,bcrypt,…
    #[arg(long, value_name = "SCHEMES", hide_short_help = true)]
    accept_hash: Option<AcceptedSchemes>,

    /// Reset daily limits at midnight in this time zone, such as Europe/Berlin; or rolling: the last
    /// 24 hours count
    #[arg(long, value_name = "ZONE")]
    day: Option<Day>,

    /// Allow passwords over connections without TLS: yes or no
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    allow_insecure: Option<bool>,

    /// Let only users of verified domains send: yes or no
    ///
    /// See `domain verify`. The policy service rejects the messages of other users at once, with 554;
    /// they can still sign in. If Dovecot reads the store itself and there is no policy service, they
    /// can send.
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    require_verified_domains: Option<bool>,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    addresses: AddressArgs,

    /// Add this address or network to the list from which all users may sign in; repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Addresses")]
    allow: Vec<Network>,

    /// Take this address or network off the list, with all entries within it; repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Addresses")]
    disallow: Vec<Network>,

    /// Ignore this address or network, because it says nothing about a client; repeatable, or none
    ///
    /// Give the addresses of proxies, load balancers and NAT behind which all clients look the same.
    /// Sign-ins from them are never learned, refused for their address, counted by `user addresses`
    /// or alerted about. It is better to let the mail server know the clients: with
    /// `smtpd_upstream_proxy_protocol` in Postfix, or `hosts_proxy` in Exim. The given list replaces
    /// the former one.
    #[arg(long, value_name = "CIDR", help_heading = "Addresses")]
    ignore_address: Vec<Setting<Network>>,

    /// Keep what users sent and how it ended for this long, or off; see `messages --help`
    #[arg(
        long,
        value_name = "DURATION|off",
        help_heading = "Messages",
        hide_short_help = true
    )]
    keep_messages: Option<KeepMessages>,

    /// Keep this of the addresses of recipients: full, domain or none
    ///
    /// With domain or none, addresses are cut once a message has its end, also in the replies of
    /// other servers. What was kept before stays as it is.
    #[arg(
        long,
        value_name = "PART",
        help_heading = "Messages",
        hide_short_help = true
    )]
    keep_recipients: Option<KeptRecipients>,

    #[command(flatten)]
    rotation: RotationArgs,

    #[command(flatten)]
    alerts: AlertArgs,
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("it must be yes or no"),
    }
}

/// Returns the networks to ignore, or `None` if the flag is missing and they stay as they are.
fn ignored(given: Vec<Setting<Network>>) -> Result<Option<Vec<Network>>, Error> {
    if given.is_empty() {
        return Ok(None);
    }
    if given == [Setting::None] {
        return Ok(Some(Vec::new()));
    }
    let networks: Option<Vec<_>> = given.into_iter().map(Setting::value).collect();
    let Some(mut networks) = networks else {
        let both = "--ignore-address none cannot be combined with addresses";
        return Err(Error::Usage(both.into()));
    };
    networks.sort_unstable();
    networks.dedup();
    Ok(Some(networks))
}

impl SetSettings {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (daily_limit, mut sending) = self.limits.split();
        if let Some(most) = daily_limit {
            let kind = LimitKind::MESSAGES_A_DAY;
            sending.limits.push(LimitSetting { kind, most });
        }
        let rotation = self.rotation.change_for_many()?;
        let alerts = self.alerts.change()?;
        let ignore_addresses = ignored(self.ignore_address)?;
        if !self.allow.is_empty() {
            let known = listed_before(context)?;
            confirm_everything(context, &self.allow, &known, "all users")?;
        }
        let addresses = AddressChange {
            allow: self.allow,
            disallow: self.disallow,
            ..self.addresses.change()
        };
        let nothing = self.host.is_none()
            && self.ports.is_none()
            && self.argon2.is_none()
            && self.accept_hash.is_none()
            && self.day.is_none()
            && self.allow_insecure.is_none()
            && self.require_verified_domains.is_none()
            && rotation.is_empty()
            && alerts.is_empty()
            && sending.is_empty()
            && addresses.is_empty()
            && ignore_addresses.is_none()
            && self.keep_messages.is_none()
            && self.keep_recipients.is_none();
        if nothing {
            let give = "nothing to set: specify --host, --ports, --argon2, --accept-hash, --day, --allow-insecure, --require-verified-domains, --daily-limit, --limit, --on-limit, --addresses, --unknown-address, --learn, --allow, --disallow, --ignore-address, --keep-messages, --keep-recipients, --rotate-every, --deliver, --alert, --no-alert, --alert-exec or --alert-mail";
            return Err(Error::Usage(give.into()).into());
        }
        let mut app = context.app(Access::Create)?;
        let change = SettingsChange {
            host: self.host,
            ports: self.ports,
            argon2: self.argon2,
            accept_hash: self.accept_hash,
            allow_insecure: self.allow_insecure,
            require_verified_domains: self.require_verified_domains,
            day: self.day,
            sending,
            rotation,
            addresses,
            ignore_addresses,
            keep_messages: self.keep_messages,
            keep_recipients: self.keep_recipients,
            alerts,
        };
        let (settings, fields) = app.set_settings(&change)?;
        if self.keep_messages.is_some() || self.keep_recipients.is_some() {
            kept::set_rules(&context.location()?, &settings.messages)?;
        }
        let rotation = app.installation_rotation()?;
        let addresses = app.installation_addresses()?;
        let alerts = app.alert_rules()?;
        changes::tell(&context.out, "the settings", &fields);
        if self.require_verified_domains == Some(true) {
            let unverified = app.unverified_domains()?;
            if unverified > 0 {
                context.out.warn(&format!(
                    "{} with users can no longer send until verified; for each, run: smtpcred domain verify DOMAIN",
            count(unverified, "domain")
                ));
            }
        }
        Ok(context.out.result(&ChangedSettingsRecord::new(
            &settings, &addresses, &rotation, &alerts,
        ))?)
    }
}

/// Returns the installation's list; none if there is no store yet.
fn listed_before(context: &Context) -> error::Result<Vec<Network>> {
    match context.app(Access::Existing) {
        Err(Error::StoreMissing(_)) => Ok(Vec::new()),
        opened => Ok(in_list(&opened?.installation_addresses()?)),
    }
}

#[derive(Serialize)]
struct ChangedSettingsRecord {
    host: Option<String>,
    ports: Vec<u16>,
    #[serde(flatten)]
    installation: InstallationRecord,
}

impl ChangedSettingsRecord {
    fn new(
        settings: &Settings,
        addresses: &AddressRules,
        rotation: &RotationRules,
        alerts: &AlertRules,
    ) -> Self {
        Self {
            host: settings.host.as_ref().map(ToString::to_string),
            ports: settings.ports.offered().map(|port| port.number).collect(),
            installation: InstallationRecord::new(settings, addresses, rotation, alerts),
        }
    }
}

impl Record for ChangedSettingsRecord {
    const FIELDS: &'static [&'static str] = &[
        "host",
        "ports",
        "argon2",
        "day",
        "allow_insecure",
        "limits",
        "on_limit",
        "require_verified_domains",
        "accept_hash",
    ];

    fn fields(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(ToString::to_string).collect();
        vec![
            self.host.clone().unwrap_or_default(),
            ports.join(" "),
            self.installation.argon2.clone(),
            self.installation.day.clone(),
            self.installation.allow_insecure.to_string(),
            limits_in_a_row(&self.installation.limits),
            self.installation.on_limit.to_owned(),
            self.installation.require_verified_domains.to_string(),
            self.installation.accept_hash.clone(),
        ]
    }
}
