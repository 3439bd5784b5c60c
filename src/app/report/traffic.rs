//! The sections of the report for people that are about sign-ins and mail.

use super::LATELY;
use super::figures::{DAYS, ReportFigures};
use super::sections::{chart, section};
use super::words::{cut, minute};
use crate::formats::html::{Bars, Chart, Field, Heading, Section, Table};
use crate::model::followed_message::MessageState;
use crate::model::usage::Usage;

/// Sign-ins and refusals by day.
pub fn traffic(figures: &ReportFigures) -> Section {
    let first = figures.first_day;
    let of = |found: &[(u64, u64)], number: u64| {
        let last = u64::from(DAYS) - 1;
        let found = found.iter().filter(|(day, _)| (*day).min(last) == number);
        found.map(|(_, n)| n).sum::<u64>()
    };
    let mut rows: Vec<Vec<Field>> = Vec::new();
    let mut points = Vec::new();
    let mut any = false;
    for number in 0..u64::from(DAYS) {
        let date = Usage::day_name(first + i64::try_from(number).unwrap_or(0));
        let sign_ins = of(&figures.counts.last_sign_ins, number);
        let refused = of(&figures.counts.refused, number);
        let sent = figures.days.iter().find(|usage| usage.name == date);
        let (messages, stopped) = sent.map_or((0, 0), |usage| (usage.messages, usage.refusals));
        any |= sign_ins + refused + messages + stopped > 0;
        points.push((date.clone(), vec![sign_ins, refused]));
        rows.push(vec![
            Field::Time(date),
            sign_ins.into(),
            refused.into(),
            messages.into(),
            stopped.into(),
        ]);
    }
    if !any {
        rows.clear();
    }
    Section {
        chart: Some(Chart {
            title: format!("Sign-ins and refused sign-ins of the last {DAYS} days"),
            bars: Bars::Upright,
            series: vec!["users signed in", "refused sign-ins"],
            points,
        }),
        commands: vec!["smtpcred audit failures".into()],
        ..section(
            "Sign-ins and refusals by day",
            "A user counts on the day of its last sign-in; refused sign-ins with one name from one \
             address count on the day of the last of them.",
            &format!("No sign-ins and no messages were recorded in the last {DAYS} days."),
            Table {
                caption: format!("The last {DAYS} days"),
                columns: vec![
                    Heading::text("Day"),
                    Heading::number("Users"),
                    Heading::number("Refused sign-ins"),
                    Heading::number("Messages"),
                    Heading::number("Refused messages"),
                ],
                rows,
            },
        )
    }
}

/// From where users signed in.
pub fn networks(figures: &ReportFigures) -> Section {
    let found = &figures.counts.networks;
    let row = |one: &crate::store::NetworkTotal| {
        vec![
            one.network.as_str().into(),
            one.users.into(),
            one.sign_ins.into(),
            Field::Time(minute(one.last_at)),
        ]
    };
    let points = found.iter();
    let points = points.map(|one| (one.network.clone(), vec![one.sign_ins]));
    Section {
        chart: Some(chart("Sign-ins by network", points.collect())),
        cut: cut(
            found.len(),
            figures.counts.all_networks,
            "networks",
            "smtpcred user addresses NAME",
        ),
        ..section(
            "Where from",
            &format!(
                "The networks that were used in the last {LATELY}; sign-ins are all there were."
            ),
            &format!("No sign-in with an address was recorded in the last {LATELY}."),
            Table {
                caption: "Networks with the most sign-ins".into(),
                columns: vec![
                    Heading::text("Network"),
                    Heading::number("Users"),
                    Heading::number("Sign-ins"),
                    Heading::text("Last"),
                ],
                rows: found.iter().map(row).collect(),
            },
        )
    }
}

/// The users that sent the most.
pub fn senders(figures: &ReportFigures) -> Section {
    let found = &figures.senders;
    let points = found.iter();
    let points = points.map(|one| (one.name.clone(), vec![one.messages]));
    let row = |one: &Usage| {
        vec![
            one.name.as_str().into(),
            one.messages.into(),
            one.recipients.into(),
            one.refusals.into(),
        ]
    };
    let more = "the first 10; the rest: smtpcred usage --since 30d --json";
    Section {
        chart: Some(chart("Messages by user", points.collect())),
        cut: figures.other_senders.then(|| more.to_owned()),
        ..section(
            "Top senders",
            &format!("What users sent in the last {LATELY}."),
            &format!("No messages were counted in the last {LATELY}."),
            Table {
                caption: "Users with the most messages".into(),
                columns: vec![
                    Heading::text("User"),
                    Heading::number("Messages"),
                    Heading::number("Recipients"),
                    Heading::number("Refused"),
                ],
                rows: found.iter().map(row).collect(),
            },
        )
    }
}

/// The results of messages.
pub fn deliveries(figures: &ReportFigures) -> Section {
    let title = "Deliveries and bounces";
    let Some(states) = &figures.messages else {
        return Section {
            title: title.into(),
            text: "What becomes of messages is not recorded. To record it:".into(),
            commands: vec!["smtpcred set-settings --keep-messages 30d".into()],
            ..Section::default()
        };
    };
    let points = states.iter();
    let points = points.map(|(state, n)| (state.name().into(), vec![*n]));
    let bounced = states
        .iter()
        .any(|(state, _)| *state == MessageState::Bounced);
    let command = "smtpcred messages list --state bounced".to_owned();
    Section {
        chart: Some(chart("Recipients by state", points.collect())),
        commands: bounced.then_some(command).into_iter().collect(),
        ..section(
            title,
            &format!("The recipients of the messages of the last {LATELY}."),
            &format!("No messages were recorded in the last {LATELY}."),
            Table {
                caption: "Recipients by state".into(),
                columns: vec![Heading::text("State"), Heading::number("Recipients")],
                rows: states
                    .iter()
                    .map(|(state, n)| vec![state.name().into(), (*n).into()])
                    .collect(),
            },
        )
    }
}
