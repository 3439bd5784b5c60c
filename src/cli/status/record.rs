//! What `status` prints for programs.

use serde::Serialize;

use crate::app::messages::recent::RecentMessages;
use crate::app::status::{Attention, RefusedLately, StatusReport};
use crate::cli::args::rotation::UnfinishedRecord;
use crate::cli::terminal::column::{Cell, Tone};
use crate::cli::terminal::record::Record;
use crate::doctor::{ServeSocket, SocketState};
use crate::model::time::Time;
use crate::store::{ExpiringUser, LastBackup, LimitNear, OpenAlerts, UnfinishedOf};

#[derive(Serialize)]
pub struct StatusRecord {
    pub(super) at: Time,
    pub(super) users: Users,
    pub(super) domains: u64,
    pub(super) expiring: Vec<Expiring>,
    pub(super) refused_24h: Refused,
    pub(super) limits_near: Vec<NearLimit>,
    pub(super) rotations_unfinished: Vec<Rotation>,
    pub(super) sessions: Option<u64>,
    pub(super) serve: Serve,
    pub(super) last_backup: Option<Backup>,
    pub(super) alerts: Alerts,
    pub messages_1h: Option<Messages>,
    pub look_at: Vec<LookAt>,
    pub(super) counts: Counts,
}

#[derive(Serialize)]
pub struct Users {
    pub(super) total: u64,
    pub(super) active: u64,
    pub(super) overlap: u64,
    pub(super) suspended: u64,
    pub(super) expired: u64,
}

/// Recipients of the messages of the last hour.
#[derive(Serialize)]
pub struct Messages {
    sent: u64,
    deferred: u64,
    bounced: u64,
    other: u64,
}

#[derive(Serialize)]
pub struct Expiring {
    pub(super) username: String,
    pub(super) label: Option<String>,
    pub(super) expires_at: Time,
}

#[derive(Serialize)]
pub struct Refused {
    pub(super) count: u64,
    pub(super) exact: bool,
    pub(super) top_user: Option<TopUser>,
    pub(super) top_address: Option<TopAddress>,
}

#[derive(Serialize)]
pub struct TopUser {
    pub(super) username: String,
    pub(super) count: u64,
    pub(super) exists: bool,
}

#[derive(Serialize)]
pub struct TopAddress {
    pub(super) address: String,
    pub(super) count: u64,
}

#[derive(Serialize)]
pub struct NearLimit {
    pub(super) owner: String,
    pub(super) limit: String,
    pub(super) most: u32,
    pub(super) used: u64,
    pub(super) used_up: bool,
    #[serde(skip)]
    pub(super) words: String,
}

#[derive(Serialize)]
pub struct Rotation {
    pub(super) username: String,
    #[serde(flatten)]
    pub(super) unfinished: UnfinishedRecord,
}

#[derive(Serialize)]
pub struct Serve {
    pub(super) answers: Option<bool>,
    pub(super) sockets: Vec<Socket>,
}

#[derive(Serialize)]
pub struct Socket {
    pub(super) name: &'static str,
    pub(super) path: String,
    pub(super) answers: Option<bool>,
    pub(super) found: Option<String>,
}

#[derive(Serialize)]
pub struct Backup {
    pub(super) at: Time,
    pub(super) file: String,
}

/// Those that no one acknowledged.
#[derive(Serialize)]
pub struct Alerts {
    pub(super) open: u64,
    pub(super) latest: Option<LatestAlert>,
}

#[derive(Serialize)]
pub struct LatestAlert {
    pub(super) id: i64,
    pub(super) at: Time,
    pub(super) kind: &'static str,
    pub(super) username: Option<String>,
}

#[derive(Serialize)]
pub struct LookAt {
    pub(super) matter: &'static str,
    pub(super) text: String,
    pub(super) command: String,
}

/// How many there are of what the lists have only the first of.
#[derive(Serialize)]
pub struct Counts {
    pub(super) expiring: u64,
    pub(super) limits_near: u64,
    pub(super) rotations_unfinished: u64,
}

impl StatusRecord {
    pub fn new(report: StatusReport, sockets: Vec<ServeSocket>) -> Self {
        let serve = Serve::new(sockets);
        let attention = serve.attention().into_iter().chain(report.look_at());
        let counts = &report.counts;
        Self {
            at: report.now,
            users: Users {
                total: counts.users,
                active: counts.active(),
                overlap: counts.overlap,
                suspended: counts.suspended,
                expired: counts.expired,
            },
            domains: counts.domains,
            look_at: attention.map(LookAt::new).collect(),
            counts: Counts {
                expiring: counts.expiring,
                limits_near: counts.limits_near,
                rotations_unfinished: counts.unfinished,
            },
            refused_24h: Refused::new(report.refused),
            expiring: report.expiring.into_iter().map(Expiring::new).collect(),
            limits_near: report.limits_near.iter().map(NearLimit::new).collect(),
            rotations_unfinished: report.unfinished.iter().map(Rotation::new).collect(),
            sessions: report.sessions,
            serve,
            last_backup: report.last_backup.map(Backup::new),
            alerts: Alerts::new(&report.alerts),
            messages_1h: None,
        }
    }
}

impl Messages {
    pub const fn new(recent: RecentMessages) -> Self {
        Self {
            sent: recent.sent,
            deferred: recent.deferred,
            bounced: recent.bounced,
            other: recent.other,
        }
    }

    /// Returns the line for people.
    pub(super) fn cell(&self) -> Cell {
        let parts = [
            (self.sent, "sent"),
            (self.deferred, "deferred"),
            (self.bounced, "bounced"),
            (self.other, "other"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if parts.is_empty() {
            return Cell::new("none in the last hour", Tone::Dim);
        }
        let tone = if self.bounced + self.deferred > self.sent {
            Tone::Warning
        } else {
            Tone::Plain
        };
        Cell::new(format!("{} in the last hour", parts.join(", ")), tone)
    }
}

impl Serve {
    pub fn new(sockets: Vec<ServeSocket>) -> Self {
        let sockets: Vec<_> = sockets.into_iter().map(Socket::new).collect();
        let all = |answer| sockets.iter().any(|socket| socket.answers == answer);
        let answers = match (all(Some(false)), all(Some(true))) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        };
        Self { answers, sockets }
    }

    fn attention(&self) -> Option<Attention> {
        (self.answers == Some(false)).then(|| Attention {
            matter: "serve",
            text: "serve does not answer".into(),
            command: "smtpcred doctor".into(),
        })
    }
}

impl Socket {
    fn new(socket: ServeSocket) -> Self {
        let (answers, found) = match socket.state {
            SocketState::Answers => (Some(true), None),
            SocketState::Silent(what) => (Some(false), Some(what)),
            SocketState::Unknown => (None, Some("this user cannot connect to it".into())),
        };
        Self {
            name: socket.name,
            path: socket.path,
            answers,
            found,
        }
    }
}

impl Refused {
    fn new(refused: RefusedLately) -> Self {
        Self {
            count: refused.count,
            exact: refused.exact,
            top_user: refused.top_user.map(|top| TopUser {
                username: top.name,
                count: top.count,
                exists: top.exists,
            }),
            top_address: refused
                .top_address
                .map(|(address, count)| TopAddress { address, count }),
        }
    }
}

impl Expiring {
    fn new(user: ExpiringUser) -> Self {
        Self {
            username: user.username.to_string(),
            label: user.label,
            expires_at: user.expires_at,
        }
    }
}

impl NearLimit {
    fn new(limit: &LimitNear) -> Self {
        Self {
            owner: limit.owner.clone(),
            limit: limit.kind.to_string(),
            most: limit.most,
            used: limit.used,
            used_up: limit.is_used_up(),
            words: limit.words(),
        }
    }
}

impl Rotation {
    fn new(of: &UnfinishedOf) -> Self {
        Self {
            username: of.username.to_string(),
            unfinished: UnfinishedRecord::new(&of.rotation),
        }
    }
}

impl Backup {
    fn new(made: LastBackup) -> Self {
        Self {
            at: made.at,
            file: made.file,
        }
    }
}

impl Alerts {
    fn new(alerts: &OpenAlerts) -> Self {
        Self {
            open: alerts.count,
            latest: alerts.latest.first().map(|alert| LatestAlert {
                id: alert.id,
                at: alert.at,
                kind: alert.kind.name(),
                username: alert.username.as_ref().map(ToString::to_string),
            }),
        }
    }
}

impl LookAt {
    fn new(attention: Attention) -> Self {
        Self {
            matter: attention.matter,
            text: attention.text,
            command: attention.command,
        }
    }
}

impl Record for StatusRecord {
    const FIELDS: &'static [&'static str] = &[
        "at",
        "users",
        "active",
        "overlap",
        "suspended",
        "expired",
        "domains",
        "expiring",
        "refused_24h",
        "limits_near",
        "rotations_unfinished",
        "serve",
        "look_at",
        "alerts",
    ];

    fn fields(&self) -> Vec<String> {
        let serve = match self.serve.answers {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let Users {
            total,
            active,
            overlap,
            suspended,
            expired,
        } = self.users;
        let users = [total, active, overlap, suspended, expired];
        let counts = [
            self.domains,
            self.counts.expiring,
            self.refused_24h.count,
            self.counts.limits_near,
            self.counts.rotations_unfinished,
        ];
        let numbers = users.iter().chain(&counts).map(ToString::to_string);
        let mut fields = vec![self.at.to_string()];
        fields.extend(numbers);
        let look_at = self.look_at.len().to_string();
        fields.extend([serve.to_owned(), look_at, self.alerts.open.to_string()]);
        fields
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        self.all_lines()
    }
}
