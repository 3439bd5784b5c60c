//! The report as a page for people, into a file and by mail.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::app::report::{ReportPage, ReportRequest};
use crate::cli::context::Context;
use crate::cli::new_file::{NewFile, unwritten};
use crate::cli::terminal::column::{Cell, Column};
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::record::Record;
use crate::cli::terminal::stream::write_error;
use crate::deliver::report;
use crate::error::Error;
use crate::model::mailbox::LocalMailbox;
use crate::store::Access;

/// Makes the page, writes it to a new file, and mails it.
pub fn make(
    context: &mut Context,
    wanted: ReportRequest,
    file: Option<&Path>,
    mail: Option<&LocalMailbox>,
) -> Result<()> {
    let to_stdout = file == Some(Path::new("-"));
    if to_stdout && context.out.format() != OutputFormat::Table {
        let give =
            "--html - writes HTML to stdout, so --format cannot be given: name a file instead";
        return Err(Error::Usage(give.into()).into());
    }
    let mut app = context.app(Access::Existing)?;
    // Before everything is read: most failures are seen here.
    let created = file
        .filter(|_| !to_stdout)
        .map(NewFile::create)
        .transpose()?;
    let figures = app.report_figures(wanted, &context.location()?)?;
    drop(app);
    let page = ReportPage::new(&figures);
    if to_stdout {
        let written = context.out.stdout.write_all(page.html.as_bytes());
        written.map_err(|e| write_error(&e))?;
        context.out.finish()?;
    }
    if let Some(mut created) = created {
        let path = created.path().to_owned();
        let failed = |e: std::io::Error| unwritten(&path, &e);
        created
            .writer()
            .write_all(page.html.as_bytes())
            .map_err(failed)?;
        created.keep().map_err(failed)?;
        context.out.note(&format!("wrote {}", path.display()));
    }
    if let Some(to) = mail {
        let sent = report::mail(to, &page);
        sent.map_err(|reason| Error::Unmailed {
            to: to.to_string(),
            reason,
        })?;
        context.out.note(&format!("mailed to {to}"));
    }
    if to_stdout {
        return Ok(());
    }
    let record = PageRecord {
        file: file.map(|file| file.display().to_string()),
        mailed_to: mail.map(ToString::to_string),
    };
    Ok(context.out.result(&record)?)
}

#[derive(Serialize)]
struct PageRecord {
    file: Option<String>,
    mailed_to: Option<String>,
}

impl Record for PageRecord {
    const COLUMNS: &'static [Column] = &[Column::new("File"), Column::new("Mailed to")];

    fn cells(&self) -> Vec<Cell> {
        vec![self.file.clone().into(), self.mailed_to.clone().into()]
    }

    const FIELDS: &'static [&'static str] = &["file", "mailed_to"];

    fn fields(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![text(&self.file), text(&self.mailed_to)]
    }
}
