//! What differs from a plan, for people, and how it goes.

use serde_json::Value;

use super::record::{ChangeRecord, Document, FieldRecord};
use super::{Action, Context, Format, Outcome, Subject};
use crate::app::apply::{Difference, Outcome as Became, Watcher};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::error::Error;
use crate::model::delivery::Delivery;
use crate::model::name::Username;
use crate::model::text;

pub struct Changes {
    pub differences: Vec<Difference>,
    /// Empty while nothing was begun.
    pub outcomes: Vec<Became>,
}

impl Changes {
    pub const fn new(differences: Vec<Difference>) -> Self {
        Self {
            differences,
            outcomes: Vec::new(),
        }
    }

    pub fn count(&self, action: Action) -> usize {
        self.differences
            .iter()
            .filter(|difference| difference.action == action)
            .count()
    }

    /// To people, before anything is done.
    pub fn show(&self, context: &mut Context) -> Outcome<()> {
        if context.out.format() != Format::Table {
            return Ok(());
        }
        if self.differences.is_empty() {
            context.out.note("nothing to change");
        }
        for difference in &self.differences {
            context.out.text(&shown(difference))?;
        }
        // Before what is said about it, and before a question.
        match context.out.finish() {
            // Whoever has seen enough of it wants it all the same.
            Err(Error::OutputClosed) => Ok(()),
            shown => shown,
        }
    }

    /// To somebody who is about to be asked.
    pub fn show_to_person(&self, out: &Output) {
        for difference in &self.differences {
            out.before_question(&shown(difference));
        }
    }

    /// What is known at the end: to programs all of it.
    pub fn finish(&self, context: &mut Context) -> Outcome<()> {
        if !self.differences.is_empty() {
            context.out.note(&self.line(self.outcomes.is_empty()));
        }
        match context.out.format() {
            Format::Table => Ok(()),
            Format::Json => context.out.one(&self.document()),
            Format::Csv => {
                let document = self.document();
                let mut list = context.out.list::<FieldRecord>();
                for change in &document.changes {
                    for record in FieldRecord::all(change) {
                        list.push(&record)?;
                    }
                }
                list.end("")
            }
        }
    }

    pub fn line(&self, would: bool) -> String {
        let mut counts = [0; 3];
        let mut failed = 0;
        for (number, difference) in self.differences.iter().enumerate() {
            match self.outcomes.get(number) {
                Some(Became::Failed(_) | Became::Left) => failed += 1,
                _ => counts[difference.action as usize] += 1,
            }
        }
        let [created, changed, deleted] = counts;
        let would = if would { "would be " } else { "" };
        let mut line = format!("{would}created {created}, changed {changed}, deleted {deleted}");
        if failed > 0 {
            line = format!("{line}; not done {failed}");
        }
        line
    }

    fn document(&self) -> Document {
        let changes = self.differences.iter().enumerate();
        let changes: Vec<_> = changes
            .map(|(number, difference)| ChangeRecord::new(difference, self.outcomes.get(number)))
            .collect();
        let done = |change: &ChangeRecord| matches!(change.outcome, "done" | "unneeded");
        Document {
            applied: changes.iter().all(done),
            changes,
        }
    }
}

pub const fn kind(subject: &Subject) -> &'static str {
    match subject {
        Subject::Settings => "settings",
        Subject::Domain(_) => "domain",
        Subject::User(_) => "user",
    }
}

pub fn name(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Settings => None,
        Subject::Domain(name) => Some(name.to_string()),
        Subject::User(name) => Some(name.to_string()),
    }
}

fn title(subject: &Subject) -> String {
    match name(subject) {
        Some(name) => format!("{} {name}", kind(subject)),
        None => kind(subject).to_owned(),
    }
}

/// As a difference is usually shown: a line for one thing, and for each of several
/// one of its own.
fn shown(difference: &Difference) -> String {
    let mark = match difference.action {
        Action::Create => '+',
        Action::Change => '~',
        Action::Delete => '-',
    };
    let mut said: Vec<_> = difference
        .fields
        .iter()
        .map(|field| {
            let to = shown_value(&field.to);
            match difference.action {
                Action::Create => format!("{} {to}", field.name),
                _ => format!("{} {} -> {to}", field.name, shown_value(&field.from)),
            }
        })
        .collect();
    if let Some(delivery) = delivery(difference) {
        said.push(format!("password to {delivery}"));
    }
    let title = title(&difference.subject);
    let lines = match said.as_slice() {
        [] => format!("{mark} {title}"),
        [one] => format!("{mark} {title}: {one}"),
        several => format!("{mark} {title}\n    {}", several.join("\n    ")),
    };
    // A text of several lines has none but these.
    lines
        .split('\n')
        .map(text::escaped)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Of a new user's password, with the names of files in full.
pub fn delivery(difference: &Difference) -> Option<String> {
    let (Some(delivery), Subject::User(username)) = (&difference.delivery, &difference.subject)
    else {
        return None;
    };
    let whole = Delivery {
        command: delivery.command.clone(),
        ..delivery.files_of(username)
    };
    Some(whole.to_string())
}

/// In quotes where it would not be seen where it ends.
pub fn shown_value(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', ',']) => text.clone(),
        Value::Array(all) => {
            let all: Vec<_> = all.iter().map(shown_value).collect();
            all.join(", ")
        }
        other => other.to_string(),
    }
}

/// Says on stderr how it goes, and keeps what came of it.
pub struct Told<'a> {
    out: &'a Output,
    differences: &'a [Difference],
    outcomes: Vec<Became>,
    progress: Option<Progress>,
}

impl<'a> Told<'a> {
    pub fn new(context: &'a Context, differences: &'a [Difference]) -> Self {
        Self {
            out: &context.out,
            differences,
            outcomes: vec![Became::Left; differences.len()],
            progress: None,
        }
    }

    pub fn end(self) -> Vec<Became> {
        if let Some(progress) = &self.progress {
            progress.end();
        }
        self.outcomes
    }

    fn say(&self, print: impl FnOnce(&Output)) {
        match &self.progress {
            Some(progress) => progress.aside(|| print(self.out)),
            None => print(self.out),
        }
    }
}

impl Watcher for Told<'_> {
    fn begin(&mut self, passwords: usize) {
        self.progress = Progress::begin(self.out, passwords);
    }

    fn said(&mut self, username: &Username, line: &str) {
        self.say(|out| out.note(&format!("{username}: {line}")));
    }

    fn done(&mut self, number: usize, outcome: Became) {
        let Some(difference) = self.differences.get(number) else {
            return;
        };
        let title = title(&difference.subject);
        self.say(|out| match &outcome {
            // What is to be known is its key; the rest was shown.
            Became::Done(Some(key)) => out.note(&format!("created {title} (key {key})")),
            Became::Done(None) | Became::Left => {}
            Became::Unneeded => out.note(&format!("{title} is so by now")),
            Became::Failed(reason) => out.warn(&format!("{title}: not done: {reason}")),
        });
        if let (true, Some(progress)) = (difference.is_new_user(), &self.progress) {
            progress.step();
        }
        self.outcomes[number] = outcome;
    }
}
