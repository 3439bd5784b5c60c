//! Files with one user on each line: Dovecot's passwd-file, Apache's htpasswd,
//! docker-mailserver's postfix-accounts.cf.

use std::io::BufRead;

use super::input::each_line;
use super::row::{InputRow, ParsedRow, RowSink};
use crate::error::Result;

/// The fields of a line.
type LineFields<'a> = Vec<(&'static str, &'a str)>;

/// Reads Dovecot's passwd-file: `user:hash:uid:gid:gecos:home:shell:extra`, where the end
/// may be missing.
pub fn read_dovecot(input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    read(dovecot, input, sink)
}

/// Reads Apache's htpasswd: `user:hash`, perhaps indented.
pub fn read_htpasswd(input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    read(htpasswd, input, sink)
}

/// Reads docker-mailserver's accounts: `user@domain|{SCHEME}hash|…`.
pub fn read_docker_mailserver(input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
    read(docker_mailserver, input, sink)
}

fn read(
    parse: fn(&str) -> Option<LineFields<'_>>,
    input: &mut dyn BufRead,
    sink: &mut RowSink,
) -> Result<()> {
    each_line(input, sink, &mut |number, text, sink| {
        // htpasswd and docker-mailserver read an indented # as a comment; for Dovecot
        // no valid name begins like this.
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            return Ok(());
        }
        let Some(fields) = parse(text) else {
            return sink(ParsedRow::bad(number, "is not such a line", text));
        };
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        sink(ParsedRow::Good(InputRow {
            number,
            fields: fields.collect(),
            text: text.to_owned(),
        }))
    })
}

fn docker_mailserver(text: &str) -> Option<LineFields<'_>> {
    let mut parts = text.split('|');
    Some(vec![("username", parts.next()?), ("hash", parts.next()?)])
}

fn htpasswd(text: &str) -> Option<LineFields<'_>> {
    let (user, hash) = text.trim_start().split_once(':')?;
    Some(vec![("username", user), ("hash", hash)])
}

fn dovecot(text: &str) -> Option<LineFields<'_>> {
    let parts: Vec<_> = text.splitn(8, ':').collect();
    let (user, hash) = (*parts.first()?, *parts.get(1)?);
    let extra = parts.get(7).copied().unwrap_or_default();
    let mut fields = vec![("username", user), ("hash", hash)];
    for field in extra.split_ascii_whitespace() {
        match field.split_once('=').map_or(field, |(name, _)| name) {
            "nologin" => fields.push(("suspended", "yes")),
            "nopassword" => fields[1].1 = "",
            _ => {}
        }
    }
    Some(fields)
}
