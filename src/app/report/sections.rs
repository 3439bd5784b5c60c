//! The sections of the report for people that are about users and passwords.

use super::Matter;
use super::figures::{LISTED, ReportFigures, WEEKS};
use super::words::{cut, day, minute, name};
use crate::formats::html::{Bars, Chart, Field, Heading, Section, Table, grouped};
use crate::model::duration::Duration;
use crate::model::time::Time;

/// Where all findings are.
const REST: &str = "smtpcred report --json";

/// A section with a table, or with a sentence where the table has no rows.
pub fn section(title: &str, text: &str, none: &str, table: Table) -> Section {
    let empty = table.rows.is_empty();
    Section {
        title: title.to_owned(),
        text: if empty { none } else { text }.to_owned(),
        table: (!empty).then_some(table),
        ..Section::default()
    }
}

pub fn chart(title: &str, points: Vec<(String, Vec<u64>)>) -> Chart {
    Chart {
        title: title.to_owned(),
        bars: Bars::Across,
        series: vec!["count"],
        points,
    }
}

/// What to type now.
pub fn next_steps(figures: &ReportFigures) -> Section {
    let mut rows: Vec<Vec<Field>> = Vec::new();
    let mut found: Vec<_> = figures.found.worst_first().collect();
    for urgent in figures.status.look_at() {
        let mut commands = urgent.command;
        // The same, and what to do about it.
        if let Some(same) = found
            .iter()
            .position(|(matter, _)| matter.name() == urgent.matter)
        {
            let (matter, group) = found.remove(same);
            commands.extend(matter.cure(group).map(|cure| format!("\n{cure}")));
        }
        rows.push(vec![urgent.text.into(), Field::Commands(commands)]);
    }
    for (matter, group) in found {
        let cure = matter.cure(group).map(|cure| cure + "\n");
        let commands = cure.unwrap_or_default() + &matter.command(figures.wanted);
        let what = format!("{}: {}", name(matter), matter.counted(group.findings));
        rows.push(vec![what.into(), Field::Commands(commands)]);
    }
    let table = Table {
        caption: "What needs attention, the most urgent first".into(),
        columns: vec![Heading::text("Matter"), Heading::text("Type this")],
        rows,
    };
    let text = "Where a command names a user, it is the first one of the matter.";
    section("What to do next", text, "Nothing needs attention.", table)
}

/// The users that something was found about.
pub fn users(figures: &ReportFigures) -> Section {
    let now = figures.status.now;
    let mut found: Vec<_> = figures.found.worst_first().collect();
    // Both have a section of their own.
    found.retain(|(matter, _)| !matches!(matter, Matter::Unfinished | Matter::WeakHash));
    let all: u64 = found.iter().map(|(_, group)| group.users).sum();
    let mut rows: Vec<Vec<Field>> = Vec::new();
    // Of each matter as many, so that one with thousands does not hide the others.
    'full: for place in 0..LISTED as usize {
        for (matter, group) in &found {
            let Some(one) = group.first.get(place) else {
                continue;
            };
            if rows.len() == LISTED as usize {
                break 'full;
            }
            let when = if one.at > now { "until" } else { "since" };
            rows.push(vec![
                one.username.as_str().into(),
                name(*matter).into(),
                Field::Time(format!("{when} {}", day(one.at))),
                one.detail.clone().unwrap_or_default().into(),
            ]);
        }
    }
    let shown = rows.len();
    let table = Table {
        caption: "Users that need attention".into(),
        columns: vec![
            Heading::text("User"),
            Heading::text("Matter"),
            Heading::text("When"),
            Heading::text("Detail"),
        ],
        rows,
    };
    Section {
        cut: cut(shown, all, "users", REST),
        ..section(
            "Users to look at",
            "",
            "There is nothing to say about a user.",
            table,
        )
    }
}

/// Passwords by age.
pub fn ages(figures: &ReportFigures) -> Section {
    const GROUPS: [(&str, u64); 5] = [
        ("up to 30 days", 30),
        ("31 to 90 days", 90),
        ("91 to 180 days", 180),
        ("181 days to a year", 365),
        ("more than a year", u64::MAX),
    ];
    let mut counts = [0_u64; GROUPS.len()];
    for (age, n) in &figures.counts.ages {
        let group = GROUPS.iter().position(|(_, most)| age <= most);
        if let Some(count) = group.and_then(|group| counts.get_mut(group)) {
            *count += n;
        }
    }
    let all: u64 = counts.iter().sum();
    let groups = GROUPS.iter().zip(counts);
    let groups: Vec<_> = groups.map(|((name, _), n)| (*name, n)).collect();
    let rows = if all == 0 { &[][..] } else { &groups };
    let points = rows.iter().map(|(name, n)| ((*name).into(), vec![*n]));
    Section {
        chart: Some(chart("Passwords by age", points.collect())),
        commands: vec!["smtpcred report --old-passwords 180d".into()],
        ..section(
            "Passwords by age",
            "The newest password of each user that can sign in.",
            "No user has a password that works.",
            Table {
                caption: "Passwords by age".into(),
                columns: vec![Heading::text("Age"), Heading::number("Passwords")],
                rows: rows
                    .iter()
                    .map(|(name, n)| vec![(*name).into(), (*n).into()])
                    .collect(),
            },
        )
    }
}

/// Users that expire, by week.
pub fn expiries(figures: &ReportFigures) -> Section {
    let now = figures.status.now;
    let weeks: Vec<_> = (0..WEEKS)
        .map(|week| {
            let from = now.plus(Duration::days(week.saturating_mul(7)));
            let found = figures.counts.expiries.iter();
            let n = found.filter(|(at, _)| *at == u64::from(week));
            (day(from), n.map(|(_, n)| n).sum::<u64>())
        })
        .collect();
    let all: u64 = weeks.iter().map(|(_, n)| n).sum();
    let next = figures.status.expiring.iter();
    let ahead = now.plus(Duration::days(WEEKS.saturating_mul(7)));
    let next = next.filter(|user| user.expires_at <= ahead);
    let rows: Vec<Vec<Field>> = next
        .map(|user| {
            vec![
                user.username.as_str().into(),
                user.label.clone().unwrap_or_default().into(),
                Field::Time(day(user.expires_at)),
            ]
        })
        .collect();
    let listed = "smtpcred user list --expiring 84d";
    Section {
        chart: Some(Chart {
            title: format!("Users that expire in the next {WEEKS} weeks, by week"),
            bars: Bars::Upright,
            series: vec!["users, by week"],
            points: weeks.iter().map(|(at, n)| (at.clone(), vec![*n])).collect(),
        }),
        cut: cut(rows.len(), all, "users", listed),
        ..section(
            "Expiries ahead",
            &format!("{} within {WEEKS} weeks.", expire(all)),
            &format!("No user expires within {WEEKS} weeks."),
            Table {
                caption: "The users that expire next".into(),
                columns: vec![
                    Heading::text("User"),
                    Heading::text("Label"),
                    Heading::text("Expires"),
                ],
                rows,
            },
        )
    }
}

fn expire(n: u64) -> String {
    match n {
        1 => "1 user expires".into(),
        n => format!("{} users expire", grouped(n)),
    }
}

/// Limits that are nearly used up.
pub fn limits(figures: &ReportFigures) -> Section {
    let near = &figures.status.limits_near;
    let share =
        |one: &crate::store::LimitNear| one.used.saturating_mul(100) / u64::from(one.most.max(1));
    let points = near.iter().map(|one| {
        let label = format!("{}, {}", one.owner, one.kind);
        (label, vec![share(one)])
    });
    Section {
        chart: Some(chart(
            "Limits by how much is used, in per cent",
            points.collect(),
        )),
        cut: cut(
            near.len(),
            figures.status.counts.limits_near,
            "limits",
            "smtpcred usage --since 1d",
        ),
        ..section(
            "Limits near",
            "Daily limits of which at least 80 % is used.",
            "Less than 80 % of each daily limit is used.",
            Table {
                caption: "Daily limits that are nearly used up".into(),
                columns: vec![
                    Heading::text("Whose"),
                    Heading::text("Limit"),
                    Heading::number("Used"),
                    Heading::number("Per cent"),
                ],
                rows: near
                    .iter()
                    .map(|one| {
                        vec![
                            one.owner.as_str().into(),
                            one.kind.words(one.most).into(),
                            one.used.into(),
                            share(one).into(),
                        ]
                    })
                    .collect(),
            },
        )
    }
}

/// Rotations that did not finish, and overlaps.
pub fn rotations(figures: &ReportFigures) -> Section {
    let unfinished = &figures.status.unfinished;
    let counts = &figures.status.counts;
    let newer = figures.counts.ages.iter().filter(|(age, _)| *age <= 30);
    let newer: u64 = newer.map(|(_, n)| n).sum();
    let lately = format!(
        "{} made in the last 30 days; {} in an overlap, with an old password that still works.",
        if newer == 1 {
            "1 password was".into()
        } else {
            format!("{} passwords were", grouped(newer))
        },
        if counts.overlap == 1 {
            "1 user is".into()
        } else {
            format!("{} users are", grouped(counts.overlap))
        },
    );
    let rows: Vec<Vec<Field>> = unfinished
        .iter()
        .map(|one| {
            vec![
                one.username.as_str().into(),
                Field::Time(minute(one.rotation.began_at)),
                one.rotation.reason().into(),
            ]
        })
        .collect();
    Section {
        cut: cut(rows.len(), counts.unfinished, "users", REST),
        ..section(
            "Rotations",
            &lately,
            &format!("{lately} No rotation is unfinished."),
            Table {
                caption: "Rotations that did not finish".into(),
                columns: vec![
                    Heading::text("User"),
                    Heading::text("Began"),
                    Heading::text("Why it did not finish"),
                ],
                rows,
            },
        )
    }
}

/// Hashes that are fast to guess from.
pub fn weak_hashes(figures: &ReportFigures) -> Section {
    let group = figures.found.of(Matter::WeakHash);
    let rows: Vec<Vec<Field>> = group
        .first
        .iter()
        .map(|one| {
            vec![
                one.username.as_str().into(),
                one.detail.clone().unwrap_or_default().into(),
                age(one.at, figures.status.now).into(),
            ]
        })
        .collect();
    Section {
        cut: cut(rows.len(), group.users, "users", REST),
        ..section(
            "Weak hashes",
            &format!(
                "{}, which are fast to crack. Each is replaced when its password is next used.",
                Matter::WeakHash.counted(group.findings)
            ),
            "No hash is fast to crack.",
            Table {
                caption: "Users with a weak hash".into(),
                columns: vec![
                    Heading::text("User"),
                    Heading::text("Hash"),
                    Heading::text("Age"),
                ],
                rows,
            },
        )
    }
}

fn age(at: Time, now: Time) -> String {
    now.since(at).short()
}
