//! Files with a line for each user: Dovecot's passwd-file, Apache's htpasswd,
//! docker-mailserver's postfix-accounts.cf.

use std::io::BufRead;

use super::format::{Each, Format, Raw, Read1, lines};
use crate::error::Result;

pub fn read(format: Format, input: &mut dyn BufRead, each: &mut Each) -> Result<()> {
    lines(input, each, &mut |row, text, each| {
        if text.trim().is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let fields = match format {
            Format::DockerMailserver => docker_mailserver(text),
            Format::Htpasswd => htpasswd(text),
            _ => dovecot(text),
        };
        each(match fields {
            Some(fields) => {
                let fields = fields
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), v.to_owned()));
                Read1::Row(Raw {
                    row,
                    fields: fields.collect(),
                    text: text.to_owned(),
                })
            }
            None => Read1::bad(row, "is not such a line", text),
        })
    })
}

type Fields<'a> = Vec<(&'static str, &'a str)>;

/// `user@domain|{SCHEME}hash|…`
fn docker_mailserver(text: &str) -> Option<Fields<'_>> {
    let mut parts = text.split('|');
    Some(vec![("username", parts.next()?), ("hash", parts.next()?)])
}

/// `user:hash`
fn htpasswd(text: &str) -> Option<Fields<'_>> {
    let (user, hash) = text.split_once(':')?;
    Some(vec![("username", user), ("hash", hash)])
}

/// `user:hash:uid:gid:gecos:home:shell:extra`, where the end may be missing.
fn dovecot(text: &str) -> Option<Fields<'_>> {
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
