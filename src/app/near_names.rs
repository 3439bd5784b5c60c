//! Finds the intended name in the store for a mistyped one. Each query reads a range of an
//! index and at most a few hundred rows, whatever the size of the store.

use strsim::osa_distance;

use crate::error::Result;
use crate::model::name::{DomainName, Username};
use crate::store::Store;

/// How many names one query reads.
const MOST: u32 = 200;
/// Larger stores are not searched by label, which has no index.
const LABELS: u32 = 5000;

/// Returns the domain that was meant: its name begins so, or differs by a typing error.
pub fn near_domain(store: &mut Store, typed: &str) -> Result<Option<DomainName>> {
    let typed = folded(typed);
    let begun = store.domain_names(&typed, 2)?;
    if let ([only], true) = (begun.as_slice(), typed.len() > 1) {
        return Ok(only.parse().ok());
    }
    let mut names = Vec::new();
    for prefix in prefixes(&typed) {
        names.extend(store.domain_names(prefix, MOST)?);
    }
    let near = nearest(&typed, names.iter().map(String::as_str));
    let near = near.or_else(|| {
        let (stem, _) = typed.rsplit_once('.')?;
        let same = |name: &&str| name.rsplit_once('.').is_some_and(|(own, _)| own == stem);
        only(names.iter().map(String::as_str).filter(same))
    });
    Ok(near.and_then(|name| name.parse().ok()))
}

/// Returns the user that was meant: its name begins so, differs by a typing error, or
/// belongs to another domain; or its label is this text.
pub fn near_user(store: &mut Store, typed: &str) -> Result<Option<Username>> {
    let typed = folded(typed);
    let found = match typed.split_once('@') {
        Some((local, domain)) => near_in_domain(store, local, domain)?,
        None => near_anywhere(store, &typed)?,
    };
    Ok(found.and_then(|name| name.parse().ok()))
}

fn near_in_domain(store: &mut Store, local: &str, domain: &str) -> Result<Option<String>> {
    let own = store.domain_names(domain, 1)?;
    let own = own.first().is_some_and(|name| name == domain);
    let meant = if own {
        Some(domain.to_owned())
    } else {
        near_domain(store, domain)?.map(|name| name.to_string())
    };
    let Some(domain) = meant else {
        return elsewhere(store, local);
    };
    let whole = format!("{local}@{domain}");
    let there = store.usernames(&whole, 1)?;
    if let Some(name) = there.into_iter().find(|name| *name == whole) {
        return Ok(Some(name));
    }
    let mut names = Vec::new();
    for prefix in prefixes(local) {
        names.extend(store.usernames_of(&domain, prefix, MOST)?);
    }
    let locals = names
        .iter()
        .filter_map(|name| Some(name.split_once('@')?.0));
    if let Some(near) = nearest(local, locals) {
        return Ok(Some(format!("{near}@{domain}")));
    }
    let begun = store.usernames_of(&domain, local, 2)?;
    match begun.as_slice() {
        [only] if !local.is_empty() => Ok(Some(only.clone())),
        _ => elsewhere(store, local),
    }
}

/// The only user with this local part.
fn elsewhere(store: &mut Store, local: &str) -> Result<Option<String>> {
    let same = store.usernames(&format!("{local}@"), 2)?;
    Ok(one(same))
}

fn near_anywhere(store: &mut Store, typed: &str) -> Result<Option<String>> {
    if typed.is_empty() {
        return Ok(None);
    }
    if let Some(same) = elsewhere(store, typed)? {
        return Ok(Some(same));
    }
    if let Some(begun) = one(store.usernames(typed, 2)?) {
        return Ok(Some(begun));
    }
    if let Some(labelled) = labelled(store, typed)? {
        return Ok(Some(labelled));
    }
    let mut names = Vec::new();
    for prefix in prefixes(typed) {
        names.extend(store.usernames(prefix, MOST)?);
    }
    let locals = names
        .iter()
        .filter_map(|name| Some(name.split_once('@')?.0));
    match nearest(typed, locals) {
        Some(near) => elsewhere(store, near),
        None => Ok(None),
    }
}

fn labelled(store: &mut Store, typed: &str) -> Result<Option<String>> {
    let all = store.labels(LABELS)?;
    if all.len() as u64 >= u64::from(LABELS) {
        return Ok(None);
    }
    let same = all.into_iter().filter(|(_, label)| folded(label) == typed);
    Ok(one(same.map(|(name, _)| name).take(2).collect()))
}

/// The beginnings that a name shares with those that differ from it by a typing error.
fn prefixes(typed: &str) -> Vec<&str> {
    let ends: Vec<_> = typed.char_indices().map(|(at, _)| at).collect();
    let mut at: Vec<_> = [ends.len().saturating_sub(2), ends.len() / 2, 1, 0].into();
    at.dedup();
    let cut = |at: usize| &typed[..ends.get(at).copied().unwrap_or(typed.len())];
    at.into_iter().map(cut).collect()
}

/// The name that differs by the fewest typing errors, unless another is as near.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = match typed.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let mut near: Vec<_> = names
        .map(|name| (osa_distance(typed, name), name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort_unstable();
    near.dedup();
    match near.as_slice() {
        [(least, _), (next, _), ..] if least == next => None,
        [(_, name), ..] => Some(name),
        [] => None,
    }
}

fn only<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut all: Vec<_> = names.collect();
    all.sort_unstable();
    all.dedup();
    match all.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

fn one(names: Vec<String>) -> Option<String> {
    <[String; 1]>::try_from(names).ok().map(|[name]| name)
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}
