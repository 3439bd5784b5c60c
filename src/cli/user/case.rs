//! The case of a stolen password as it is printed: for people, programs and incident files.

use serde::Serialize;

use super::password_record::PasswordRecord;
use crate::app::close::StolenCase;
use crate::cli::session::SessionRecord;
use crate::cli::terminal::column::Cell;
use crate::cli::terminal::record::Record;
use crate::model::known_networks::KnownNetworks;
use crate::model::note::Note;
use crate::model::password::PasswordId;
use crate::model::text::{count, in_shell};
use crate::model::time::Time;

/// What is known of a user whose password may be stolen, and what was done.
#[derive(Serialize)]
pub struct CaseRecord<'a> {
    username: &'a str,
    at: Time,
    reason: Option<&'a str>,
    status: &'static str,
    passwords: Vec<PasswordRecord<'a>>,
    networks: Vec<UsedNetwork>,
    allowed: Option<Vec<String>>,
    sessions: Vec<SessionRecord>,
    silent: &'a [String],
    since: Time,
    new_recipients: Option<u64>,
    measure: &'static str,
    new_password_id: Option<String>,
    next: Vec<String>,
    #[serde(skip)]
    relays: usize,
    #[serde(skip)]
    mode: &'static str,
}

/// A network the user signed in from.
#[derive(Serialize)]
struct UsedNetwork {
    network: String,
    address: String,
    first_seen: Time,
    last_seen: Time,
    sign_ins: i64,
    password_ids: Vec<String>,
    kept: Option<bool>,
}

impl UsedNetwork {
    fn all(case: &StolenCase) -> Vec<Self> {
        let kept = |network| case.kept.as_ref().map(|kept| kept.contains(network));
        let used = case.used.iter().filter_map(|one| Some((one, one.used?)));
        used.map(|(one, used)| Self {
            network: one.network.to_string(),
            address: used.address.to_string(),
            first_seen: used.first_at,
            last_seen: used.last_at,
            sign_ins: used.sign_ins,
            password_ids: one.passwords.iter().map(ToString::to_string).collect(),
            kept: kept(&one.network),
        })
        .collect()
    }

    fn text(&self) -> String {
        let sign_ins = count(self.sign_ins.unsigned_abs(), "sign-in");
        let kept = match self.kept {
            Some(false) => ", left out",
            _ => "",
        };
        format!(
            "{}  first {}, last {}, {sign_ins} with {}{kept}",
            self.network,
            self.first_seen,
            self.last_seen,
            self.password_ids.join(", ")
        )
    }
}

/// How many networks are shown to people.
const SHOWN: usize = 10;

fn only(allowed: &[String]) -> String {
    match allowed {
        [] => "only what the domain or the installation lists".into(),
        _ => format!("only {}", allowed.join(", ")),
    }
}

/// The flags that name these networks.
fn flags(known: &KnownNetworks) -> String {
    let before = known.before.map(|before| format!(" --since {before}"));
    let not = known.not.iter().map(|not| format!(" --not {not}"));
    before.into_iter().chain(not).collect()
}

/// The measures.
const NONE: &str = "none";
const ROTATED: &str = "rotated";
const SUSPENDED: &str = "suspended";

impl<'a> CaseRecord<'a> {
    /// Returns the record of what is known.
    pub fn new(
        case: &'a StolenCase,
        known: Option<&KnownNetworks>,
        reason: Option<&'a Note>,
    ) -> Self {
        let user = &case.user;
        let username = user.username.as_str();
        let sessions = case.open.sessions.iter();
        let suspend = if case.can_be_rotated() {
            ""
        } else {
            " --suspend"
        };
        Self {
            username,
            at: case.at,
            reason: reason.map(Note::as_str),
            status: user.status(case.at).name(),
            passwords: user
                .all_passwords()
                .filter(|password| password.is_live(case.at))
                .map(PasswordRecord::new)
                .collect(),
            networks: UsedNetwork::all(case),
            allowed: (case.kept.as_ref())
                .map(|kept| kept.iter().map(ToString::to_string).collect()),
            sessions: sessions
                .map(|session| SessionRecord::new(session, case.at))
                .collect(),
            silent: &case.open.silent,
            since: case.since,
            new_recipients: case.new_recipients,
            measure: NONE,
            new_password_id: None,
            next: vec![format!(
                "smtpcred user close {}{suspend}{}",
                in_shell(username),
                known.map(flags).unwrap_or_default()
            )],
            relays: case.open.relays,
            mode: case.policy.mode.name(),
        }
    }

    /// Adds what was done: a new password was delivered, or the user suspended.
    pub fn done(self, status: &'static str, new: Option<PasswordId>) -> Self {
        let name = in_shell(self.username);
        let audit = format!("smtpcred audit list --user {name}");
        let (measure, next) = if new.is_some() {
            (ROTATED, vec![audit])
        } else {
            let reset = format!("smtpcred user reset {name}");
            let resume = format!("smtpcred user resume {name}");
            (SUSPENDED, vec![audit, reset, resume])
        };
        Self {
            status,
            measure,
            new_password_id: new.map(|id| id.to_string()),
            next,
            ..self
        }
    }

    fn password_text(password: &PasswordRecord) -> String {
        let last = match password.last_connection {
            Some(last) => format!("last used {}", last.dated()),
            None => "never used".into(),
        };
        let sent = match password.last_sent_at {
            Some(at) => format!(
                "sent {} to {}, the last {at}",
                count(password.messages, "message"),
                count(password.recipients, "recipient")
            ),
            None => "sent nothing that is known".into(),
        };
        let (id, created) = (password.id, password.created_at);
        format!("{id}  created {created}, {last}, {sent}")
    }

    /// The networks, the last used one first; of many, how many more there are.
    fn networks_text(&self) -> String {
        let mut lines: Vec<_> = self
            .networks
            .iter()
            .take(SHOWN)
            .map(UsedNetwork::text)
            .collect();
        match self.networks.len().saturating_sub(SHOWN) {
            0 if lines.is_empty() => return "none seen".into(),
            0 => {}
            more => lines.push(format!(
                "and {more} more: smtpcred user addresses {}",
                in_shell(self.username)
            )),
        }
        lines.join("\n")
    }

    /// From where the user may sign in afterwards.
    fn addresses_text(&self) -> String {
        match &self.allowed {
            Some(allowed) if self.measure == NONE => format!("would allow {}", only(allowed)),
            Some(allowed) => format!("allows {}", only(allowed)),
            None => format!(
                "unchanged ({}): --since TIME allows only networks known before then, --not CIDR all but that",
                self.mode
            ),
        }
    }

    fn done_text(&self) -> String {
        let stopped: Vec<_> = self.passwords.iter().map(|password| password.id).collect();
        let stopped = stopped.join(", ");
        match &self.new_password_id {
            Some(new) => format!("delivered {new}; stopped {stopped}; ended the sessions"),
            None if self.measure == SUSPENDED => "suspended the user; ended the sessions".into(),
            None => "nothing".into(),
        }
    }
}

impl Record for CaseRecord<'_> {
    const FIELDS: &'static [&'static str] = &[
        "username",
        "at",
        "reason",
        "status",
        "password_ids",
        "networks",
        "allowed",
        "messages",
        "recipients",
        "last_sent_at",
        "sessions",
        "since",
        "new_recipients",
        "measure",
        "new_password_id",
    ];

    fn fields(&self) -> Vec<String> {
        let ids: Vec<_> = self.passwords.iter().map(|password| password.id).collect();
        let sum = |of: fn(&PasswordRecord) -> u64| self.passwords.iter().map(of).sum::<u64>();
        let networks: Vec<_> = self
            .networks
            .iter()
            .map(|one| one.network.as_str())
            .collect();
        let sent = self.passwords.iter().filter_map(|one| one.last_sent_at);
        vec![
            self.username.to_owned(),
            self.at.to_string(),
            self.reason.unwrap_or_default().to_owned(),
            self.status.to_owned(),
            ids.join(" "),
            networks.join(" "),
            self.allowed
                .as_ref()
                .map(|all| all.join(" "))
                .unwrap_or_default(),
            sum(|password| password.messages).to_string(),
            sum(|password| password.recipients).to_string(),
            sent.max().map(|at| at.to_string()).unwrap_or_default(),
            self.sessions.len().to_string(),
            self.since.to_string(),
            self.new_recipients
                .map(|n| n.to_string())
                .unwrap_or_default(),
            self.measure.to_owned(),
            self.new_password_id.clone().unwrap_or_default(),
        ]
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let passwords: Vec<_> = self.passwords.iter().map(Self::password_text).collect();
        let sessions: Vec<_> = self.sessions.iter().map(SessionRecord::text).collect();
        let sessions = match (sessions.is_empty(), self.relays) {
            (true, 0) => "not known: `smtpcred serve` does not run with this store".into(),
            (true, _) => "none known".into(),
            _ => sessions.join("\n"),
        };
        let recipients = match self.new_recipients {
            Some(n) => format!("{n} since {}", self.since),
            None => "not recorded: no limit or alert of new recipients is set".into(),
        };
        vec![
            ("Username", self.username.into()),
            ("Time", self.at.to_string().into()),
            ("Reason", Cell::or(self.reason, "not given")),
            ("Status", self.status.into()),
            ("Passwords", passwords.join("\n").into()),
            ("Networks", self.networks_text().into()),
            ("Addresses", self.addresses_text().into()),
            ("Open sessions", sessions.into()),
            ("New recipients", recipients.into()),
            ("Done", self.done_text().into()),
            ("Next", self.next.join("\n").into()),
        ]
    }
}
