//! `smtpcred why`

mod bounce;
mod theft;

use std::net::IpAddr;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::args::addresses::AddressPolicyRecord;
use super::args::rotation::UnfinishedRecord;
use super::complete;
use super::context::Context;
use super::terminal::column::{Cell, Column, Tone};
use super::terminal::record::Record;
use super::user::refusal::typed_as;
use crate::app::why::{Diagnosis, LimitStatus};
use crate::error::{Error, Exit};
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::refused_sign_ins::RefusedSignIns;
use crate::model::sender::Sender;
use crate::model::text::{in_shell, times};
use crate::model::time::Time;
use crate::model::user::{PasswordInfo, User};
use crate::store::Access;
use bounce::BounceRecord;
use theft::TheftRecord;

const HELP: &str = "\
Examples:
  smtpcred why shop@example.com
  smtpcred why shop@example.com --from 203.0.113.9       is this address allowed?
  smtpcred why shop@example.com --json | jq -r '.next[]'

JSON:
  {username, status, can_sign_in, can_send, reasons, passwords: [{id, created_at, retires_at,
  temporary, from, last_used_at}], last_sign_in: {at, address, password_id}, last_refusal: {at,
  username, address, reason, count}, senders, addresses, unknown_address, learning_until,
  allowed_addresses, limits: [{owner, limit, most, used, used_up, frees_at}], unfinished_rotation:
  {password_id, reason, began_at, ways_out: {arrived, not_arrived, reset}}, expires_at, next,
  alerts: {open, latest: [{id, at, kind, text}]}, sessions: [as in `session list`], last_close: {at,
  by, reason, suspended}, last_bounce: {queue_id, at, address, dsn, reply, meaning, next}}; a
  missing value is null. used may include up to 64 messages that `serve` has reserved for each busy
  user. latest has at most the latest three alerts that no one acknowledged. sessions are as last
  reported, at most 5 minutes ago, and null if no `serve` runs with this store; `session list` asks.
  last_close is the last `user close`, of the latest 1000 events of the user. last_bounce is the
  last message within 7 days that bounced or expired, if messages are kept (smtpcred set-settings
  --keep-messages 30d).";

/// Explain why a user cannot currently sign in or send
///
/// Exits with 0 if it can do both, and with 7 if not.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ExplainUser {
    /// The user
    #[arg(value_name = "NAME", add = complete::usernames())]
    name: Username,

    /// Also explain whether the user may sign in from this address
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
}

impl ExplainUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let answer = app.why_from(&self.name, self.from)?;
        let mut record = WhyRecord::new(&answer);
        let bounce = app.last_bounce(&context.location()?, &self.name)?;
        let domain = self.name.domain();
        record.last_bounce = bounce.map(|bounce| BounceRecord::new(bounce, domain.as_str()));
        let works = record.can_sign_in && record.can_send;
        context.out.one(&record)?;
        if works {
            return Ok(());
        }
        Err(Error::Answered(Exit::Attention).into())
    }
}

#[derive(Serialize)]
struct WhyRecord<'a> {
    username: &'a str,
    status: &'static str,
    can_sign_in: bool,
    can_send: bool,
    /// Why not. What prevents the sign-in comes first.
    reasons: Vec<String>,
    passwords: Vec<LivePassword<'a>>,
    last_sign_in: Option<LastSignInRecord<'a>>,
    last_refusal: Option<LastRefusalRecord<'a>>,
    /// Empty: every address of its domain.
    senders: Vec<&'a str>,
    #[serde(flatten)]
    addresses: AddressPolicyRecord,
    limits: Vec<LimitRecord<'a>>,
    unfinished_rotation: Option<UnfinishedRecord>,
    expires_at: Option<Time>,
    next: Vec<String>,
    #[serde(flatten)]
    theft: TheftRecord,
    last_bounce: Option<BounceRecord>,
    #[serde(skip)]
    now: Time,
    #[serde(skip)]
    standings: &'a [LimitStatus],
}

#[derive(Serialize)]
struct LivePassword<'a> {
    id: &'a str,
    created_at: Time,
    retires_at: Option<Time>,
    /// Issued beside the user's own.
    temporary: bool,
    /// From where a temporary one works; empty: from where its user may sign in.
    from: Vec<String>,
    last_used_at: Option<Time>,
}

#[derive(Serialize)]
struct LastSignInRecord<'a> {
    at: Time,
    address: Option<&'a str>,
    password_id: &'a str,
}

#[derive(Serialize)]
struct LastRefusalRecord<'a> {
    at: Time,
    /// As typed, perhaps with a trailing space.
    username: &'a str,
    #[serde(skip)]
    typed_as: String,
    address: &'a str,
    reason: &'static str,
    /// From this address, for this reason.
    count: i64,
}

#[derive(Serialize)]
struct LimitRecord<'a> {
    owner: &'a str,
    limit: String,
    most: u32,
    used: u64,
    /// Whether not even one more message fits.
    used_up: bool,
    frees_at: Option<Time>,
}

impl<'a> WhyRecord<'a> {
    fn new(answer: &'a Diagnosis) -> Self {
        let user = &answer.user;
        let no_sign_in = answer.no_sign_in();
        let no_sending = answer.no_sending();
        let used_up = answer.used_up();
        let can_sign_in = no_sign_in.is_none();
        let can_send = can_sign_in && no_sending.is_none() && used_up.is_empty();
        let mut reasons: Vec<_> = no_sign_in.into_iter().chain(no_sending).collect();
        reasons.extend(used_up.iter().map(|limit| limit.words()));
        let last = user.all_passwords().filter_map(|password| {
            let last = password.last_connection.as_ref()?;
            Some((password, last))
        });
        let last = last.max_by_key(|(_, last)| last.at);
        Self {
            username: user.username.as_str(),
            status: answer.status.name(),
            can_sign_in,
            can_send,
            reasons,
            passwords: LivePassword::all(user, answer.now),
            last_sign_in: last.map(|(password, last)| LastSignInRecord {
                at: last.at,
                address: last.address.as_deref(),
                password_id: password.id.as_str(),
            }),
            last_refusal: answer.refusals.first().map(LastRefusalRecord::new),
            senders: answer.senders.iter().map(Sender::as_str).collect(),
            addresses: AddressPolicyRecord::new(&answer.addresses, &answer.allowed, answer.now),
            limits: answer.limits.iter().map(LimitRecord::new).collect(),
            unfinished_rotation: answer
                .unfinished
                .as_ref()
                .map(|it| UnfinishedRecord::of(it, user, answer.now)),
            expires_at: user.expires_at,
            next: answer.next(),
            theft: TheftRecord::new(answer),
            last_bounce: None,
            now: answer.now,
            standings: &answer.limits,
        }
    }

    fn ago(&self, at: Time) -> String {
        format!("{} ago", self.now.since(at))
    }

    fn passwords(&self) -> String {
        let passwords = self.passwords.iter().map(|password| {
            let age = self.now.since(password.created_at);
            let used = match password.last_used_at {
                Some(at) => format!("last used {}", self.ago(at)),
                None => "never used".into(),
            };
            let from = match password.from.as_slice() {
                [] => String::new(),
                networks => format!(", only from {}", networks.join(" ")),
            };
            let (kind, until) = if password.temporary {
                ("temporary ", "ends")
            } else {
                ("", "retires")
            };
            let retires = password.retires_at.map(|at| format!(", {until} {at}"));
            format!(
                "{kind}password ID {}, {age} old, {used}{}{from}",
                password.id,
                retires.unwrap_or_default()
            )
        });
        passwords.collect::<Vec<_>>().join("\n")
    }
}

impl<'a> LivePassword<'a> {
    /// Returns the user's own passwords that work, then the temporary ones.
    fn all(user: &'a User, now: Time) -> Vec<Self> {
        let own = user.live_passwords(now);
        let own = own.map(|password| Self::new(password, None));
        let issued = user.live_temporary(now);
        own.chain(issued.map(|issued| Self::new(&issued.password, Some(&issued.networks))))
            .collect()
    }

    /// `networks` are those of a temporary one.
    fn new(password: &'a PasswordInfo, networks: Option<&[Network]>) -> Self {
        let from = networks.unwrap_or_default().iter();
        Self {
            id: password.id.as_str(),
            created_at: password.created_at,
            retires_at: password.retires_at,
            temporary: networks.is_some(),
            from: from.map(ToString::to_string).collect(),
            last_used_at: password.last_connection.as_ref().map(|last| last.at),
        }
    }
}

impl<'a> LastRefusalRecord<'a> {
    fn new(refusals: &'a RefusedSignIns) -> Self {
        Self {
            at: refusals.last_at,
            username: refusals.username.as_str(),
            typed_as: typed_as(&refusals.username.to_string()),
            address: &refusals.address,
            reason: refusals.reason.name(),
            count: refusals.count,
        }
    }
}

impl<'a> LimitRecord<'a> {
    fn new(standing: &'a LimitStatus) -> Self {
        Self {
            owner: &standing.owner,
            limit: standing.kind.to_string(),
            most: standing.most,
            used: standing.used,
            used_up: standing.over.is_some(),
            frees_at: standing.over.as_ref().and_then(|over| over.frees_at),
        }
    }
}

impl Record for WhyRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("User"),
        Column::new("Can sign in"),
        Column::new("Can send"),
        Column::new("Passwords"),
        Column::new("Last sign-in"),
        Column::new("Last refusal"),
        Column::new("Sends as"),
        Column::new("Limits"),
        Column::new("Rotation"),
        Column::new("Expires"),
        Column::new("Next"),
    ];

    fn cells(&self) -> Vec<Cell> {
        let or = |lines: Vec<String>, none: &str| {
            let some = !lines.is_empty();
            Cell::or(some.then(|| lines.join("\n")), none)
        };
        let yes = |can, reasons: &[String]| {
            if can {
                Cell::new("yes", Tone::Good)
            } else {
                Cell::new(format!("NO: {}", reasons.join("; ")), Tone::Bad)
            }
        };
        let first = &self.reasons[..self.reasons.len().min(1)];
        let last = self.last_sign_in.as_ref().map(|last| {
            let from = last.address.map(|address| format!(" from {address}"));
            let from = from.unwrap_or_default();
            format!(
                "{}{from} (password ID {})",
                self.ago(last.at),
                last.password_id
            )
        });
        let refusal = self.last_refusal.as_ref().map(|last| {
            let times = times(last.count.unsigned_abs());
            let (ago, address) = (self.ago(last.at), last.address);
            let typed_as = &last.typed_as;
            format!("{ago} from {address}{typed_as}: {} ({times})", last.reason)
        });
        let senders = self.senders.iter().map(|sender| (*sender).to_owned());
        let domain = self
            .username
            .split_once('@')
            .map_or("", |(_, domain)| domain);
        let limits = self.standings.iter().map(LimitStatus::words);
        let rotation = self.unfinished_rotation.as_ref();
        vec![
            format!("{}, {}", self.username, self.status).into(),
            yes(self.can_sign_in, first),
            yes(self.can_send, &self.reasons),
            self.passwords().into(),
            Cell::or(last, "never").since(self.last_sign_in.as_ref().map(|last| last.at)),
            Cell::or(refusal, "none").since(self.last_refusal.as_ref().map(|last| last.at)),
            or(senders.collect(), &format!("every address of {domain}")),
            or(limits.collect(), "none"),
            Cell::or(rotation.map(UnfinishedRecord::text), "none"),
            Cell::or(self.expires_at.map(|at| at.to_string()), "never"),
            or(
                self.next.clone(),
                &format!(
                    "nothing prevents it; check its password with: smtpcred verify {}",
                    in_shell(self.username)
                ),
            ),
        ]
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let titles = Self::COLUMNS.iter().map(|column| column.title);
        let mut lines: Vec<_> = titles.zip(self.cells()).collect();
        let next = lines.pop();
        let addresses = self.addresses.text();
        lines.extend(addresses.map(|text| ("Addresses", text.into())));
        lines.extend(self.theft.lines(self.username));
        let bounce = self.last_bounce.as_ref();
        lines.extend(bounce.map(|bounce| bounce.line(self.now)));
        lines.extend(next);
        lines
    }

    const FIELDS: &'static [&'static str] = &[
        "username",
        "status",
        "can_sign_in",
        "can_send",
        "reasons",
        "last_sign_in_at",
        "last_refusal_at",
        "last_refusal_reason",
        "next",
        "alerts",
    ];

    fn fields(&self) -> Vec<String> {
        let time = |at: Option<Time>| at.map_or(String::new(), |at| at.to_string());
        let refusal = self.last_refusal.as_ref();
        vec![
            self.username.to_owned(),
            self.status.to_owned(),
            self.can_sign_in.to_string(),
            self.can_send.to_string(),
            self.reasons.join("; "),
            time(self.last_sign_in.as_ref().map(|last| last.at)),
            time(refusal.map(|last| last.at)),
            refusal
                .map(|last| last.reason)
                .unwrap_or_default()
                .to_owned(),
            self.next.join("; "),
            self.theft.open_alerts().to_string(),
        ]
    }
}
