//! What `status` prints.

use serde::Serialize;

use crate::app::status::{Attention, RefusedLately, SOON, StatusReport};
use crate::cli::args::rotation::UnfinishedRecord;
use crate::cli::terminal::column::{Cell, Tone, width_of};
use crate::cli::terminal::record::Record;
use crate::doctor::{ServeSocket, SocketState};
use crate::model::text::{count, in_shell};
use crate::model::time::Time;
use crate::store::{ExpiringUser, LimitNear, UnfinishedOf};

/// Names and values for people.
pub type Lines = Vec<(&'static str, Cell)>;

/// What a line of 80 columns has beside its name.
const ROOM: usize = 69;
/// How many entries of a list people see.
const SHOWN: usize = 3;

#[derive(Serialize)]
pub struct StatusRecord {
    at: Time,
    users: Users,
    domains: u64,
    expiring: Vec<Expiring>,
    refused_24h: Refused,
    limits_near: Vec<NearLimit>,
    rotations_unfinished: Vec<Rotation>,
    /// Unknown: serve does not report them.
    sessions: Option<()>,
    serve: Serve,
    /// Unknown: backups are made elsewhere.
    last_backup: Option<()>,
    pub look_at: Vec<LookAt>,
    counts: Counts,
}

#[derive(Serialize)]
struct Users {
    total: u64,
    active: u64,
    overlap: u64,
    suspended: u64,
    expired: u64,
}

#[derive(Serialize)]
struct Expiring {
    username: String,
    label: Option<String>,
    expires_at: Time,
}

#[derive(Serialize)]
struct Refused {
    count: u64,
    exact: bool,
    top_user: Option<TopUser>,
    top_address: Option<TopAddress>,
}

#[derive(Serialize)]
struct TopUser {
    username: String,
    count: u64,
    exists: bool,
}

#[derive(Serialize)]
struct TopAddress {
    address: String,
    count: u64,
}

#[derive(Serialize)]
struct NearLimit {
    owner: String,
    limit: String,
    most: u32,
    used: u64,
    used_up: bool,
    #[serde(skip)]
    words: String,
}

#[derive(Serialize)]
struct Rotation {
    username: String,
    #[serde(flatten)]
    unfinished: UnfinishedRecord,
}

#[derive(Serialize)]
struct Serve {
    answers: Option<bool>,
    sockets: Vec<Socket>,
}

#[derive(Serialize)]
struct Socket {
    name: &'static str,
    path: String,
    answers: Option<bool>,
    found: Option<String>,
}

#[derive(Serialize)]
pub struct LookAt {
    matter: &'static str,
    text: String,
    command: String,
}

/// How many there are of what the lists have only the first of.
#[derive(Serialize)]
struct Counts {
    expiring: u64,
    limits_near: u64,
    rotations_unfinished: u64,
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
            sessions: None,
            serve,
            last_backup: None,
        }
    }

    /// Returns all of it for people, up to 24 lines of 80 columns.
    pub fn all_lines(&self) -> Lines {
        let mut lines = vec![
            ("Users", self.users.words().into()),
            ("Domains", self.domains.to_string().into()),
        ];
        lines.extend(self.serve.lines());
        lines.extend(self.refused_24h.lines());
        lines.extend(self.expiring_lines());
        lines.extend(named(
            "Limits",
            self.limit_cells(),
            self.counts.limits_near,
            || Cell::new("none nearly used up", Tone::Dim),
        ));
        let unfinished = self.counts.rotations_unfinished;
        lines.extend(named(
            "Rotations",
            self.rotation_cells(),
            unfinished,
            || Cell::new("none unfinished", Tone::Dim),
        ));
        lines.push(("", "".into()));
        lines.extend(self.look_at_lines());
        lines
    }

    fn expiring_lines(&self) -> Lines {
        let shown = self.expiring.iter().take(SHOWN);
        let width = shown.clone().map(|user| width_of(&user.username)).max();
        let width = width.unwrap_or(0);
        let cells = shown.map(|user| {
            let name = &user.username;
            let soon = user.expires_at <= self.at.plus(SOON);
            let text = format!("{name:width$}  {}", user.expires_at);
            Cell::new(text, if soon { Tone::Warning } else { Tone::Plain })
        });
        let mut lines = named("Expiring", cells.collect(), 0, || {
            Cell::new("none", Tone::Dim)
        });
        if let Some(first) = self.expiring.first() {
            let command = match self.counts.expiring {
                0 | 1 => format!(
                    "smtpcred user set {} --expires-in 180d",
                    in_shell(&first.username)
                ),
                _ => format!("smtpcred user list --expiring {SOON}"),
            };
            lines.push(("", Cell::new(format!("-> {command}"), Tone::Dim)));
        }
        lines
    }

    fn limit_cells(&self) -> Vec<Cell> {
        let tone = |limit: &NearLimit| {
            if limit.used_up {
                Tone::Bad
            } else {
                Tone::Warning
            }
        };
        let shown = self.limits_near.iter().take(SHOWN);
        shown
            .map(|limit| Cell::new(limit.words.as_str(), tone(limit)))
            .collect()
    }

    fn rotation_cells(&self) -> Vec<Cell> {
        let shown = self.rotations_unfinished.iter().take(SHOWN);
        let text =
            |rotation: &Rotation| format!("{}: {}", rotation.username, rotation.unfinished.text());
        shown
            .map(|rotation| Cell::new(text(rotation), Tone::Warning))
            .collect()
    }

    fn look_at_lines(&self) -> Lines {
        if self.look_at.is_empty() {
            return vec![("Look at", Cell::new("nothing", Tone::Good))];
        }
        let width = self
            .look_at
            .iter()
            .map(|matter| width_of(&matter.text))
            .max();
        let width = width.unwrap_or(0);
        let mut lines = Lines::new();
        for (i, LookAt { text, command, .. }) in self.look_at.iter().enumerate() {
            let name = if i == 0 { "Look at" } else { "" };
            // A command that goes over two lines cannot be copied.
            let fits = width + 2 + width_of(command) <= ROOM;
            let text = if fits {
                format!("{text:width$}  {command}")
            } else {
                format!("{text}\n  {command}")
            };
            lines.push((name, text.into()));
        }
        lines
    }
}

/// Returns the lines of a block, whose name is on the first one. `all` is how many there are,
/// if that may be more.
fn named(name: &'static str, cells: Vec<Cell>, all: u64, none: impl Fn() -> Cell) -> Lines {
    if cells.is_empty() {
        return vec![(name, none())];
    }
    let more = all.saturating_sub(cells.len() as u64);
    let mut lines: Lines = cells.into_iter().map(|cell| ("", cell)).collect();
    lines[0].0 = name;
    if more > 0 {
        lines.push(("", Cell::new(format!("and {more} more"), Tone::Dim)));
    }
    lines
}

impl Users {
    fn words(&self) -> String {
        let kinds = [
            (self.active, "active"),
            (self.overlap, "in an overlap"),
            (self.suspended, "suspended"),
            (self.expired, "expired"),
        ];
        let some = kinds.iter().filter(|(n, _)| *n > 0 && *n < self.total);
        let some: Vec<_> = some.map(|(n, kind)| format!("{n} {kind}")).collect();
        match (self.total, &some[..]) {
            (0, _) => "0".to_owned(),
            (total, []) => {
                let all = kinds.iter().find(|(n, _)| *n == total);
                format!("{total}, all {}", all.map_or("active", |(_, kind)| kind))
            }
            (total, some) => format!("{total}: {}", some.join(", ")),
        }
    }
}

impl Serve {
    fn new(sockets: Vec<ServeSocket>) -> Self {
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

    fn lines(&self) -> Lines {
        let silent: Vec<_> = self
            .sockets
            .iter()
            .filter(|socket| socket.answers != Some(true))
            .map(|socket| {
                let found = socket.found.as_deref().unwrap_or_default();
                let tone = match socket.answers {
                    None => Tone::Dim,
                    Some(_) => Tone::Bad,
                };
                Cell::new(format!("{}: {found}", socket.path), tone)
            })
            .collect();
        let cells = match (self.sockets.is_empty(), silent.is_empty()) {
            (true, _) => vec![Cell::new("not set up on this machine", Tone::Dim)],
            (false, true) => {
                let paths: Vec<_> = self.sockets.iter().map(|one| one.path.as_str()).collect();
                vec![Cell::new(
                    format!("answers on {}", paths.join(", ")),
                    Tone::Good,
                )]
            }
            (false, false) => silent,
        };
        named("Serve", cells, 0, Cell::default)
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

    fn lines(&self) -> Lines {
        let about = if self.exact { "" } else { "about " };
        let sum = count(self.count, "sign-in");
        let mut cells = vec![match self.count {
            0 => Cell::new("no sign-ins in 24h", Tone::Dim),
            _ => format!("{about}{sum} in 24h").into(),
        }];
        if let (Some(user), Some(address)) = (&self.top_user, &self.top_address) {
            let text = format!(
                "most as {} ({}), from {} ({})",
                user.username, user.count, address.address, address.count
            );
            cells.push(text.into());
        }
        named("Refused", cells, 0, Cell::default)
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
        fields.extend([serve.to_owned(), self.look_at.len().to_string()]);
        fields
    }

    fn lines(&self) -> Lines {
        self.all_lines()
    }
}
