//! Numbers on the command line.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::{StringValueParser, TypedValueParser};

use crate::model::text::number;

/// Returns a parser of numbers in this range. It rejects `+5` and `007`, which clap's own
/// parsers accept.
pub fn within<T>(range: RangeInclusive<T>) -> impl TypedValueParser<Value = T>
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    StringValueParser::new().try_map(move |text| {
        number(&text)
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "it is not a number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    })
}
