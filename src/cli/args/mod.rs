//! Flags and values that several commands share.

pub mod addresses;
pub mod alerts;
pub mod limits;
pub mod number;
pub mod paging;
pub mod password;
pub mod path;
pub mod rotation;
mod secret_line;
pub mod strength;
pub mod tags;
pub mod view;

use std::error::Error;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Returns a parser of one of these words, which help and completion list.
pub fn one_of<T, const N: usize>(
    words: [&'static str; N],
) -> impl TypedValueParser<Value = T> + use<T, N>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}
