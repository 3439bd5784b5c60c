//! Help, and what is wrong with a command line: printed before there is an output.

use std::io::{self, Write};

use clap::builder::StyledStr;
use clap::builder::styling::Style;
use serde_json::json;

use super::color::{CYAN, Color, RED};
use super::format::OutputFormat;
use super::stream::{say, tell, write_error};
use crate::cli::suggest;
use crate::deliver::mask::Mask;
use crate::error::{Error, Exit};
use crate::model::text;

/// What is wrong with a command line, in our own words.
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
    pub hint: String,
}

/// Prints what is wrong with a command line. Returns the exit code.
pub fn refuse(args: &[String], refusal: &Refusal, color: Color) -> Exit {
    let Refusal {
        code,
        message,
        hint,
    } = refusal;
    let color = color.is_wanted(&io::stderr());
    print_error(asked_format(args), color, code, message, Some(hint));
    Exit::Usage
}

/// Prints an error before there is an output. Returns the exit code.
pub fn refuse_error(format: OutputFormat, error: &Error) -> Exit {
    let hint = error.hint();
    print_error(
        format,
        false,
        error.code(),
        &error.to_string(),
        hint.as_deref(),
    );
    error.exit()
}

/// Prints help for a stranger, or what clap found wrong with its command line: nothing of the
/// store. Returns the exit code.
pub fn refuse_words(error: &clap::Error, format: OutputFormat) -> Exit {
    use clap::error::ErrorKind;
    use std::error::Error as _;

    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return printed(error.print());
    }
    if let Some(ours) = error.source().and_then(|e| e.downcast_ref::<Error>()) {
        return refuse_error(format, ours);
    }
    let rendered = error.to_string();
    let message = rendered.split("\n\n").next().unwrap_or_default();
    let message = message.trim_start_matches("error: ").replace("\n ", "");
    print_error(format, false, "usage", &message, Some("see --help"));
    Exit::Usage
}

/// The format of errors about a command line that could not be parsed.
pub fn asked_format(args: &[String]) -> OutputFormat {
    let is_json = args.iter().any(|a| a == "--json" || a == "--format=json")
        || args.windows(2).any(|w| w == ["--format", "json"]);
    if is_json {
        OutputFormat::Json
    } else {
        OutputFormat::Table
    }
}

/// Prints help, or what clap found wrong with the command line, in the format asked for.
/// Returns the exit code.
pub fn usage(mut error: clap::Error, command: &clap::Command, color: Color) -> Exit {
    use clap::error::ErrorKind;
    use std::error::Error as _;

    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return printed(error.print());
    }
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let format = asked_format(&args);
    let color = color.is_wanted(&io::stderr());
    suggest::improve(&mut error, command, &args);
    if let Some(ours) = error.source().and_then(|e| e.downcast_ref::<Error>()) {
        let hint = ours.hint();
        print_error(
            format,
            color,
            ours.code(),
            &ours.to_string(),
            hint.as_deref(),
        );
        return Exit::Usage;
    }
    let rendered = error.to_string();
    let printable = args.iter().all(|arg| arg.chars().all(text::is_printable));
    if format == OutputFormat::Json || !printable || masked(&rendered) != rendered {
        // clap's first paragraph is the message. It contains arguments unescaped, which
        // must not reach a terminal.
        let message = rendered.split("\n\n").next().unwrap_or_default();
        let message = message.trim_start_matches("error: ").replace("\n ", "");
        let hint = match suggest::suggested(&error) {
            Some(meant) => format!("did you mean '{meant}'? see --help"),
            None => "see --help".to_owned(),
        };
        print_error(format, color, "usage", &message, Some(&hint));
    } else {
        // Printed by clap, with its colours and tips.
        let _ = error.print();
    }
    Exit::Usage
}

/// Prints help. Returns the exit code.
pub fn help(text: &StyledStr) -> Exit {
    let mut stdout = io::stdout();
    let colored = Color::Auto.is_wanted(&stdout);
    printed(write_styled(&mut stdout, text, colored))
}

/// Prints help in place of an error. If stderr is closed, nothing can be done about it.
pub fn help_on_stderr(text: &StyledStr) {
    let mut stderr = io::stderr();
    let colored = Color::Auto.is_wanted(&stderr);
    let _ = write_styled(&mut stderr, text, colored);
}

fn write_styled(to: &mut dyn Write, text: &StyledStr, colored: bool) -> io::Result<()> {
    if colored {
        write!(to, "{}", text.ansi())
    } else {
        write!(to, "{text}")
    }
}

/// Prints the version. Returns the exit code.
pub fn version(shown: &clap::Error) -> Exit {
    printed(shown.print())
}

/// Flushes help and completions, which are printed before there is an output. A reader
/// that stops early is no failure; a full disk is one.
pub(in crate::cli) fn printed(written: io::Result<()>) -> Exit {
    let Err(error) = written.and_then(|()| io::stdout().flush()) else {
        return Exit::Done;
    };
    let error = write_error(&error);
    if !matches!(error, Error::OutputClosed) {
        say(&format!("error: {error}"));
    }
    error.exit()
}

/// Masks a password that was given in place of a name.
fn masked(text: &str) -> String {
    Mask::default().apply(text, text.len())
}

pub(super) fn print_error(
    format: OutputFormat,
    color: bool,
    code: &str,
    message: &str,
    hint: Option<&str>,
) {
    // Messages are for people, even inside JSON.
    let message = text::escaped(&masked(message));
    let hint = hint.map(|hint| text::escaped(&masked(hint)));
    if format == OutputFormat::Json {
        let error = json!({"error": {"code": code, "message": message, "hint": hint}});
        return say(&error.to_string());
    }
    let (red, cyan) = if color {
        (RED, CYAN)
    } else {
        (Style::new(), Style::new())
    };
    tell(&format!("{red}error:{red:#}"), &message);
    if let Some(hint) = hint {
        tell(&format!("{cyan}hint:{cyan:#}"), &hint);
    }
}
