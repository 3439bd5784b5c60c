//! Tells the admin, by an alert, which passwords that work were found, and where.

use std::path;

use crate::app::App;
use crate::app::scan::Leak;
use crate::cli::context::Context;
use crate::error::Error;
use crate::scan::{Findings, Place};

/// Raises the alerts. The search has its result without them, so a failure is no error.
pub fn tell(context: &Context, app: &mut App, found: &Findings, leaks: &[Leak]) {
    let places = leaks.iter().enumerate().map(|(number, leak)| {
        let mut own = found.places.iter().filter(|place| place.password == number);
        let first = own.next().map_or_else(String::new, name);
        (leak, and_more(first, own.count()))
    });
    let places: Vec<_> = places.collect();
    match app.tell_of_leaks(&places) {
        // It may be read here, and not written.
        Ok(())
        | Err(
            Error::StoreForbidden { .. }
            | Error::StoreUnreachable { .. }
            | Error::StoreForeign { .. }
            | Error::StoreUnsafe { .. },
        ) => {}
        Err(error) => context.out.warn(&format!(
            "no alert was raised about what was found: {error}"
        )),
    }
}

/// Returns the name of a place for someone who reads it elsewhere.
fn name(place: &Place) -> String {
    if place.file == "-" {
        return "standard input".to_owned();
    }
    let whole = path::absolute(&place.file);
    let mut name = whole.map_or_else(|_| place.file.clone(), |whole| whole.display().to_string());
    if let Some(line) = place.line {
        name = format!("{name}:{line}");
    }
    match &place.commit {
        Some(commit) => format!("{name} of the commit {commit}"),
        None => name,
    }
}

fn and_more(first: String, more: usize) -> String {
    match more {
        0 => first,
        1 => format!("{first} and 1 more place"),
        more => format!("{first} and {more} more places"),
    }
}
