//! Generates usernames from labels.

use crate::error::{Error, Result};
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::password::{Random, short_name};
use crate::store::Store;

/// How many random letters a generated username ends with.
const RANDOM: usize = 4;

/// Returns a username made of the label and a short random part.
pub(super) fn random_username(
    random: Random,
    domain: &DomainName,
    label: Option<&Label>,
) -> Result<Username> {
    let stem = stem(label.map_or("", Label::as_str));
    let local = format!("{stem}-{}", short_name(RANDOM, random)?);
    Username::new(&local, domain)
}

/// Generates a free username.
pub(super) fn free_username(
    mut store: Option<&mut Store>,
    random: Random,
    domain: &DomainName,
    label: Option<&Label>,
    taken: &dyn Fn(&Username) -> bool,
) -> Result<Username> {
    const TRIES: usize = 20;
    for _ in 0..TRIES {
        let username = random_username(random, domain, label)?;
        let there = match store.as_deref_mut() {
            Some(store) => store.user(&username)?.is_some() || store.old_name(&username)?.is_some(),
            None => false,
        };
        if !there && !taken(&username) {
            return Ok(username);
        }
    }
    Err(Error::System(
        "no free username was found; choose one".into(),
    ))
}

/// Returns whether a username may have been generated from this label.
pub(super) fn is_named_after(username: &Username, label: &Label) -> bool {
    let local = username.as_str().split('@').next().unwrap_or_default();
    let random = local.strip_prefix(&stem(label.as_str()));
    random.is_some_and(|rest| rest.len() == RANDOM + 1 && rest.starts_with('-'))
}

fn stem(label: &str) -> String {
    const MAX: usize = 40;
    let mut stem = String::new();
    for c in label.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            stem.push(c);
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
        if stem.len() == MAX {
            break;
        }
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "user" } else { stem }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn usernames_follow_labels() {
        for (label, expected) in [
            ("WordPress", "wordpress"),
            ("Contact form (old)", "contact-form-old"),
            ("日本", "user"),
            ("", "user"),
            ("--x--", "x"),
        ] {
            assert_eq!(stem(label), expected, "{label}");
        }
        assert_eq!(stem(&"ab ".repeat(40)).len(), 40);
    }
}
