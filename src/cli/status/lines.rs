//! What `status` says to people: up to 24 lines of 80 columns.

use super::record::{Alerts, LookAt, NearLimit, Refused, Rotation, Serve, StatusRecord, Users};
use crate::app::status::SOON;
use crate::cli::terminal::column::{Cell, Tone, width_of};
use crate::model::text::count;

/// Names and values for people.
pub type Lines = Vec<(&'static str, Cell)>;

/// The name of what is to be done.
pub const ATTENTION: &str = "Attention";

/// What a line of 80 columns has beside its name.
const ROOM: usize = 69;
/// How many users that expire are shown, if there is room.
const EXPIRING: usize = 3;
/// How many limits and rotations are shown, if there is room.
const SHOWN: usize = 2;
/// How many lines there are on a screen with the next prompt.
const SCREEN: usize = 23;

impl StatusRecord {
    /// Returns all of it for people, with shorter lists if it is more than a screen.
    pub fn all_lines(&self) -> Lines {
        let all = self.lines_but(0);
        let height = |(_, cell): &(_, Cell)| cell.text.lines().count().max(1);
        if all.iter().map(height).sum::<usize>() <= SCREEN {
            return all;
        }
        self.lines_but(1)
    }

    /// Returns it with so many lines fewer in each list.
    fn lines_but(&self, fewer: usize) -> Lines {
        let mut lines = vec![
            ("Users", self.users.words().into()),
            ("Domains", self.domains.to_string().into()),
        ];
        lines.extend(self.serve.lines());
        lines.extend(self.refused_24h.lines());
        lines.extend(self.expiring_lines(EXPIRING - fewer));
        lines.extend(named("Limits", self.limit_cells(SHOWN - fewer), || {
            Cell::new("none nearly used up", Tone::Dim)
        }));
        lines.extend(named(
            "Rotations",
            self.rotation_cells(SHOWN - fewer),
            || Cell::new("none unfinished", Tone::Dim),
        ));
        lines.push(("Alerts", self.alerts.cell()));
        if let Some(messages) = &self.messages_1h {
            lines.push(("Messages", messages.cell()));
        }
        // Others make backups, too, so that none is no reason for a line.
        if let Some(made) = &self.last_backup {
            lines.push(("Backup", made.at.to_string().into()));
        }
        lines.push(("", "".into()));
        lines.extend(self.look_at_lines());
        lines
    }

    fn expiring_lines(&self, most: usize) -> Lines {
        let shown = self.expiring.iter().take(most);
        let width = shown.clone().map(|user| width_of(&user.username)).max();
        let width = width.unwrap_or(0);
        let cells = shown.map(|user| {
            let name = &user.username;
            let soon = user.expires_at <= self.at.plus(SOON);
            let text = format!("{name:width$}  {}", user.expires_at);
            Cell::new(text, if soon { Tone::Warning } else { Tone::Plain })
        });
        named("Expiring", cells.collect(), || Cell::new("none", Tone::Dim))
    }

    fn limit_cells(&self, most: usize) -> Vec<Cell> {
        let tone = |limit: &NearLimit| {
            if limit.used_up {
                Tone::Bad
            } else {
                Tone::Warning
            }
        };
        let shown = self.limits_near.iter().take(most);
        shown
            .map(|limit| Cell::new(limit.words.as_str(), tone(limit)))
            .collect()
    }

    fn rotation_cells(&self, most: usize) -> Vec<Cell> {
        let shown = self.rotations_unfinished.iter().take(most);
        let text = |rotation: &Rotation| {
            format!("{}: {}", rotation.username, rotation.unfinished.reason())
        };
        shown
            .map(|rotation| Cell::new(text(rotation), Tone::Warning))
            .collect()
    }

    fn look_at_lines(&self) -> Lines {
        if self.look_at.is_empty() {
            return vec![(ATTENTION, Cell::new("not needed", Tone::Good))];
        }
        // A command that goes over two lines cannot be copied: it gets a line of its own.
        let fits = |width: usize, command: &str| width + 2 + width_of(command) <= ROOM;
        let one_line = |one: &&LookAt| fits(width_of(&one.text), &one.command);
        let widths = self.look_at.iter().filter(one_line);
        let width = widths.map(|one| width_of(&one.text)).max().unwrap_or(0);
        let mut lines = Lines::new();
        for (i, LookAt { text, command, .. }) in self.look_at.iter().enumerate() {
            let name = if i == 0 { ATTENTION } else { "" };
            let text = match width_of(text) {
                own if fits(own.max(width), command) => format!("{text:width$}  {command}"),
                own if fits(own, command) => format!("{text}  {command}"),
                _ => format!("{text}\n  {command}"),
            };
            lines.push((name, text.into()));
        }
        lines
    }
}

/// Returns the lines of a block, whose name is on the first one.
fn named(name: &'static str, cells: Vec<Cell>, none: impl Fn() -> Cell) -> Lines {
    if cells.is_empty() {
        return vec![(name, none())];
    }
    let mut lines: Lines = cells.into_iter().map(|cell| ("", cell)).collect();
    lines[0].0 = name;
    lines
}

impl Users {
    fn words(&self) -> String {
        let kinds = [
            (self.active, "active"),
            (self.overlap, "overlap"),
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
        named("Serve", cells, Cell::default)
    }
}

impl Alerts {
    fn cell(&self) -> Cell {
        let Some(latest) = &self.latest else {
            return Cell::new("none open", Tone::Dim);
        };
        let of = latest.username.as_ref();
        let of = of.map_or(String::new(), |username| format!(", {username}"));
        let text = format!("{} open, latest: {}{of}", self.open, latest.kind);
        Cell::new(text, Tone::Warning)
    }
}

impl Refused {
    fn lines(&self) -> Lines {
        let about = if self.exact { "" } else { "about " };
        let sum = count(self.count, "sign-in");
        let mut cells = vec![match self.count {
            0 => Cell::new("no sign-ins in 24h", Tone::Dim),
            _ => format!("{about}{sum} in 24h").into(),
        }];
        if let (Some(user), Some(address)) = (&self.top_user, &self.top_address) {
            let text = format!(
                "top: {} ({}), {} ({})",
                user.username, user.count, address.address, address.count
            );
            cells.push(text.into());
        }
        named("Refused", cells, Cell::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::status::{RefusedLately, RefusedName, StatusReport};
    use crate::doctor::{ServeSocket, SocketState};
    use crate::model::alert::{Alert, AlertKind};
    use crate::model::limit_kind::LimitKind;
    use crate::model::rotation::{RotationStage, Unfinished};
    use crate::model::time::Time;
    use crate::store::{
        ExpiringUser, LastBackup, LimitNear, OpenAlerts, StatusCounts, UnfinishedOf,
    };

    const NOW: Time = Time::from_epoch(1_800_000_000);
    const NAME: &str = "newsletter@shop.example.com";

    fn worst() -> StatusReport {
        let unfinished = UnfinishedOf {
            username: NAME.parse().unwrap(),
            rotation: Unfinished {
                password_id: None,
                stage: RotationStage::Withdrawn,
                began_at: NOW,
                settles_at: None,
                reason: Some("the command failed".into()),
                with_command: true,
                files: crate::model::delivery::Destination::default(),
            },
        };
        let limit = LimitNear {
            owner: NAME.into(),
            kind: LimitKind::MESSAGES_A_DAY,
            most: 100,
            used: 95,
        };
        let expiring = ExpiringUser {
            username: NAME.parse().unwrap(),
            label: None,
            expires_at: NOW.plus(SOON),
        };
        StatusReport {
            history: None,
            now: NOW,
            counts: StatusCounts {
                users: 1_000_000,
                suspended: 1000,
                expired: 1000,
                expired_lately: 9,
                overlap: 60_000,
                expiring: 99,
                domains: 10_000,
                limits_near: 99,
                unfinished: 99,
            },
            expiring: vec![expiring; 10],
            refused: RefusedLately {
                count: 1_000_000,
                exact: false,
                top_user: Some(RefusedName {
                    name: NAME.into(),
                    count: 1000,
                    exists: true,
                }),
                top_address: Some(("2001:db8::1".into(), 1000)),
            },
            limits_near: vec![limit; 10],
            unfinished: vec![unfinished; 10],
            sessions: None,
            last_backup: Some(LastBackup {
                at: NOW,
                file: "one.backup".into(),
            }),
            alerts: OpenAlerts {
                count: 99_999,
                latest: vec![alert()],
            },
        }
    }

    fn alert() -> Alert {
        Alert {
            id: 99_999,
            at: NOW,
            last_at: NOW,
            kind: AlertKind::RotationUnfinished,
            domain: None,
            username: Some(NAME.parse().unwrap()),
            address: None,
            text: String::new(),
            next: None,
            more: 0,
            acked_at: None,
        }
    }

    fn socket(name: &'static str, state: SocketState) -> ServeSocket {
        ServeSocket {
            name,
            path: format!("/run/smtpcred/{name}"),
            state,
        }
    }

    fn text(lines: &Lines) -> String {
        let lines = lines.iter().flat_map(|(_, cell)| cell.text.split('\n'));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn it_is_one_screen_whatever_is_wrong() {
        let silent = || SocketState::Silent("the socket does not exist".into());
        let sockets = vec![socket("auth", silent()), socket("policy", silent())];
        let lines = StatusRecord::new(worst(), sockets).all_lines();
        let text = text(&lines);
        // The last line of the screen is the next prompt.
        assert!(text.lines().count() < 24, "{text}");
        for line in text.lines().filter(|line| !line.contains("as newsletter")) {
            assert!(width_of(line) <= ROOM, "{line}");
        }
    }

    #[test]
    fn what_needs_no_attention_has_no_command() {
        let mut calm = worst();
        calm.counts = StatusCounts::default();
        let lines = StatusRecord::new(calm, Vec::new()).expiring_lines(EXPIRING);
        assert!(text(&lines).contains(NAME));
        assert!(!text(&lines).contains("smtpcred "), "{}", text(&lines));
    }

    #[test]
    fn serve_answers_if_nothing_of_it_is_silent() {
        let silent = || SocketState::Silent("nothing listens".into());
        for (states, answers, says) in [
            (vec![], None, "not set up on this machine"),
            (
                vec![SocketState::Answers],
                Some(true),
                "answers on /run/smtpcred/auth",
            ),
            (
                vec![SocketState::Answers, silent()],
                Some(false),
                "nothing listens",
            ),
            (vec![SocketState::Unknown], None, "this user cannot connect"),
        ] {
            let sockets = states.into_iter().map(|state| socket("auth", state));
            let serve = Serve::new(sockets.collect());
            assert_eq!(serve.answers, answers);
            let text = text(&serve.lines());
            assert!(text.contains(says), "{text}");
        }
    }
}
