//! Paths on the command line.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::model::path;

/// Returns a parser of paths that rejects a `~` which no shell has expanded.
pub fn given() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(path::given)
}
