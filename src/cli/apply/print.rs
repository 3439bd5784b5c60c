//! The differences from a plan and the progress, for people.

use super::record::{ChangeRecord, Document, FieldRecord};
use super::words::{delivery, title};
use crate::app::apply::{ApplyObserver, ApplyOutcome, ChangeAction, Difference};
use crate::cli::changes::{from_to, shown_value};
use crate::cli::context::Context;
use crate::cli::terminal::output::{Output, OutputFormat};
use crate::cli::terminal::progress::Progress;
use crate::error::Error;
use crate::model::name::Username;
use crate::model::text;

/// The changes of a plan, and their results.
pub struct Changes {
    pub differences: Vec<Difference>,
    /// Empty until changes begin.
    pub outcomes: Vec<ApplyOutcome>,
}

impl Changes {
    /// Returns changes that have not begun.
    pub const fn new(differences: Vec<Difference>) -> Self {
        Self {
            differences,
            outcomes: Vec::new(),
        }
    }

    /// Returns the number of changes of this kind.
    pub fn count(&self, action: ChangeAction) -> usize {
        self.differences
            .iter()
            .filter(|difference| difference.action == action)
            .count()
    }

    /// Shows the differences to people before anything is done.
    pub fn show(&self, context: &mut Context) -> Result<(), Error> {
        if context.out.format() != OutputFormat::Table {
            return Ok(());
        }
        if self.differences.is_empty() {
            context.out.note("nothing to change");
        }
        for difference in &self.differences {
            context.out.text(&shown(difference))?;
        }
        // Before notes and questions.
        match context.out.finish() {
            // A reader that has seen enough still wants the plan to be applied.
            Err(Error::OutputClosed) => Ok(()),
            shown => shown,
        }
    }

    /// Shows the differences to a person before a question.
    pub fn show_to_person(&self, out: &Output) {
        for difference in &self.differences {
            out.before_question(&shown(difference));
        }
    }

    /// Prints the summary, and everything for programs.
    pub fn finish(&self, context: &mut Context) -> Result<(), Error> {
        if !self.differences.is_empty() {
            context.out.note(&self.line(self.outcomes.is_empty()));
        }
        match context.out.format() {
            OutputFormat::Table => Ok(()),
            OutputFormat::Json => context.out.one(&self.document()),
            OutputFormat::Csv => {
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

    /// Returns the summary for people, of what would be done or was done.
    pub fn line(&self, would: bool) -> String {
        let mut counts = [0; 3];
        let mut failed = 0;
        for (number, difference) in self.differences.iter().enumerate() {
            match self.outcomes.get(number) {
                Some(ApplyOutcome::Failed(_) | ApplyOutcome::Left) => failed += 1,
                _ => counts[difference.action as usize] += 1,
            }
        }
        let [created, changed, deleted] = counts;
        let mut line = if would {
            format!("would create {created}, change {changed}, delete {deleted}")
        } else {
            format!("created {created}, changed {changed}, deleted {deleted}")
        };
        if failed > 0 {
            line = format!("{line}; failed {failed}");
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

/// Returns a difference as text: one line for one field, or a line for each of several.
fn shown(difference: &Difference) -> String {
    let mark = match difference.action {
        ChangeAction::Create => '+',
        ChangeAction::Change => '~',
        ChangeAction::Delete => '-',
    };
    let mut said: Vec<_> = difference
        .fields
        .iter()
        .map(|field| {
            let value = match difference.action {
                ChangeAction::Create => shown_value(&field.to),
                _ => from_to(field),
            };
            format!("{} {value}", field.name)
        })
        .collect();
    if let Some(delivery) = delivery(difference) {
        said.push(format!("password to {delivery}"));
    }
    if let Some(obstacle) = &difference.obstacle {
        said.push(format!("would fail: {obstacle}"));
    }
    let title = title(&difference.subject);
    let lines = match said.as_slice() {
        [] => format!("{mark} {title}"),
        [one] => format!("{mark} {title}: {one}"),
        several => format!("{mark} {title}\n    {}", several.join("\n    ")),
    };
    // Only these line breaks stay.
    lines
        .split('\n')
        .map(text::escaped)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Prints the progress on stderr and keeps the outcomes.
pub struct ApplyReporter<'a> {
    out: &'a Output,
    differences: &'a [Difference],
    outcomes: Vec<ApplyOutcome>,
    progress: Option<Progress>,
}

impl<'a> ApplyReporter<'a> {
    /// Begins a report.
    pub fn new(context: &'a Context, differences: &'a [Difference]) -> Self {
        Self {
            out: &context.out,
            differences,
            outcomes: vec![ApplyOutcome::Left; differences.len()],
            progress: None,
        }
    }

    /// Ends the display of progress and returns the outcomes.
    pub fn end(self) -> Vec<ApplyOutcome> {
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

impl ApplyObserver for ApplyReporter<'_> {
    fn begin(&mut self, passwords: usize) {
        self.progress = Progress::begin(self.out, passwords);
    }

    fn said(&mut self, username: &Username, line: &str) {
        self.say(|out| out.note(&format!("{username}: {line}")));
    }

    fn done(&mut self, number: usize, outcome: ApplyOutcome) {
        let Some(difference) = self.differences.get(number) else {
            return;
        };
        let title = title(&difference.subject);
        self.say(|out| match &outcome {
            // Only its ID is new; the rest was shown.
            ApplyOutcome::Done(Some(password_id)) => {
                out.note(&format!("created {title} (password ID {password_id})"));
            }
            ApplyOutcome::Done(None) | ApplyOutcome::Left => {}
            ApplyOutcome::Unneeded => out.note(&format!("{title} already is as planned")),
            ApplyOutcome::Failed(reason) => out.warn(&format!("{title} failed: {reason}")),
        });
        if let (true, Some(progress)) = (difference.is_new_user(), &self.progress) {
            progress.step();
        }
        self.outcomes[number] = outcome;
    }
}
