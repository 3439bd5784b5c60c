//! Hints that need more than the error: the store, the command line, the environment.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use crate::app::near_names::{near_domain, near_user};
use crate::error::{Error, Place, Result};
use crate::files::Folder;
use crate::host;
use crate::model::name::{DomainName, Username};
use crate::model::text::in_shell;
use crate::store::{Access, Location, Store};

/// The most domains to offer with a name.
const FEW: usize = 3;
/// How many domains are read for that.
const MOST: u32 = 4;
/// Where root's store is by default.
const ROOTS: &str = "/var/lib/smtpcred/smtpcred.db";

/// Returns a better hint than the error has alone, if there is one.
pub fn of_error(error: &Error, location: Result<Location>) -> Option<String> {
    let own = error.hint();
    match error {
        Error::UserNotFound(name) => {
            let near = ask(location, |store| near_user(store, name))?;
            Some(format!(
                "did you mean {}? If not, {}",
                near.in_shell(),
                own?
            ))
        }
        Error::UserRenamed { username, new, .. } => {
            let line = with_name(&typed(), username, new)?;
            Some(format!("{}: {line}", own?))
        }
        Error::DomainNotFound(name) => Some(of_missing_domain(name, location)),
        Error::DomainNotEmpty { .. } | Error::OldNamesWork { .. } => {
            let args = typed();
            let own = own?;
            let (what, _) = own.split_once(": smtpcred domain remove")?;
            has_verb(&args, "domain", &["del", "delete", "remove", "rm"])
                .then(|| format!("{what}: {}", with_flag(&args, "--with-users")))
        }
        Error::StoreMissing(place) => of_missing_store(place),
        _ => None,
    }
}

/// Returns the hint for a value that is not a name: the name in the store that was meant.
pub fn of_value(error: &Error, args: &[String], location: Result<Location>) -> Option<String> {
    let Error::Invalid { what, value, .. } = error else {
        return None;
    };
    // It was quoted for the message.
    let value = value.trim_matches(['"', '\'']);
    match *what {
        "username" if is_creation(args) => {
            let domains = ask(location, |store| store.domain_names("", MOST).map(Some))?;
            let whole = |domain: &String| Username::of_new_user(&format!("{value}@{domain}")).ok();
            let names: Option<Vec<_>> = domains.iter().map(whole).collect();
            let names: Vec<_> = names?
                .iter()
                .map(|name| name.in_shell().into_owned())
                .collect();
            match names.len() {
                0 => None,
                1..=FEW => Some(format!("did you mean {}?", names.join(" or "))),
                _ => Some(format!("add its domain, as in {}", names[0])),
            }
        }
        "username" if value.parse::<DomainName>().is_ok() && of_domain(args).is_some() => Some(
            format!("did you mean: smtpcred {} {value}", of_domain(args)?),
        ),
        "username" => {
            let near = ask(location, |store| near_user(store, value))?;
            let whole = of_two_names(args, value, &near);
            Some(whole.unwrap_or_else(|| format!("did you mean {}?", near.in_shell())))
        }
        "domain" => {
            let near = ask(location, |store| near_domain(store, value))?;
            Some(format!("did you mean {near}?"))
        }
        _ => None,
    }
}

/// Returns the command that does for a domain what these do for a user.
fn of_domain(args: &[String]) -> Option<&'static str> {
    let is = |words: &[&str]| args.windows(words.len()).any(|typed| typed == words);
    if is(&["why"]) {
        Some("domain check")
    } else if is(&["user", "show"]) {
        Some("domain show")
    } else if is(&["user", "delete"]) || is(&["user", "rm"]) {
        Some("domain remove")
    } else if is(&["user", "set"]) {
        Some("domain set")
    } else {
        None
    }
}

/// Returns the whole line for a user to rename or copy that was typed without its domain, as its
/// new name may be, too.
fn of_two_names(args: &[String], value: &str, near: &Username) -> Option<String> {
    let at = args.iter().position(|arg| arg == "user")?;
    let verb = match args.get(at + 1)?.as_str() {
        "rename" | "mv" => "rename",
        "copy" | "cp" => "copy",
        _ => return None,
    };
    let (old, new) = (args.get(at + 2)?, args.get(at + 3)?);
    if old != value {
        return None;
    }
    let domain = near.domain();
    let new = Username::of_new_user(new)
        .or_else(|_| Username::of_new_user(&format!("{new}@{domain}")))
        .ok()?;
    Some(format!(
        "did you mean: smtpcred user {verb} {} {}",
        near.in_shell(),
        new.in_shell()
    ))
}

/// How the service is restarted.
pub const OF_SERVICE: &str = "changes take effect at once, without a restart; to restart \
    smtpcred serve: systemctl restart smtpcred";

/// How the store is copied while it is in use.
pub const OF_BACKUP: &str = "copy the store while it is in use with: smtpcred store backup FILE";

/// How a backup is brought back.
pub const OF_RESTORE: &str = "bring a backup of the store back with: smtpcred store restore FILE; \
    let a suspended user sign in again with: smtpcred user resume";

/// Returns a question about a domain that does not exist, for a list that found nothing.
pub fn of_empty_list(store: &mut Store, domain: &DomainName) -> Result<Option<String>> {
    if store.domain(domain)?.is_some() {
        return Ok(None);
    }
    let near = near_domain(store, domain.as_str())?;
    let near = near.map(|near| format!("; did you mean {near}?"));
    Ok(Some(format!(
        "there is no domain {domain}{}",
        near.unwrap_or_default()
    )))
}

fn of_missing_domain(name: &str, location: Result<Location>) -> String {
    let near = ask(location, |store| near_domain(store, name));
    let args = typed();
    let cure = if is_creation(&args) {
        format!("add it with the user: {}", with_flag(&args, "--add-domain"))
    } else if needs_its_domain(&args) {
        format!("add it with: smtpcred domain add {name}")
    } else {
        Error::DomainNotFound(name.to_owned())
            .hint()
            .unwrap_or_default()
    };
    match near {
        Some(near) => format!("did you mean {near}? If not, {cure}"),
        None => cure,
    }
}

fn of_missing_store(place: &Place) -> Option<String> {
    let args = typed();
    let Place::File(path) = place else {
        return None;
    };
    if let Some(theirs) = store_behind_sudo(path) {
        let dropped = if std::env::var_os("SMTPCRED_STORE").is_none() {
            "sudo does not pass SMTPCRED_STORE on; "
        } else {
            ""
        };
        return Some(format!(
            "{dropped}your own store is {0}: run the command without sudo, or with --store {0}",
            in_shell(&theirs.to_string_lossy())
        ));
    }
    if is_roots(path) {
        return Some(format!(
            "root's store is {ROOTS}: run the command with sudo, or create your own with: smtpcred store init"
        ));
    }
    if !is_creation(&args) {
        return None;
    }
    Some(format!(
        "create it with the user: {}; or create an empty one: smtpcred store init; if it is elsewhere, specify --store PATH or SMTPCRED_STORE",
        with_flag(&args, "--add-domain")
    ))
}

/// The default store of the user behind sudo, if it exists and `missing` is root's default.
fn store_behind_sudo(missing: &Path) -> Option<PathBuf> {
    if !Uid::effective().is_root() || host::default_store().ok()? != missing {
        return None;
    }
    let name = std::env::var("SUDO_USER").ok()?;
    let user = User::from_name(&name).ok().flatten()?;
    let theirs = user.dir.join(".local/share/smtpcred/smtpcred.db");
    (!user.uid.is_root() && is_there(&theirs)).then_some(theirs)
}

/// Whether the missing store is this user's default, and root has one.
fn is_roots(missing: &Path) -> bool {
    !Uid::effective().is_root()
        && host::default_store().is_ok_and(|own| own == missing)
        && is_there(Path::new(ROOTS))
}

fn is_there(path: &Path) -> bool {
    let found = Folder::of(path).and_then(|(folder, name)| folder.find(&name));
    found.is_ok_and(|found| found.is_some())
}

/// Queries the store. Returns `None` if it cannot be read: that must not hide the first error.
fn ask<T>(
    location: Result<Location>,
    question: impl FnOnce(&mut Store) -> Result<Option<T>>,
) -> Option<T> {
    let mut store = Store::open(&location.ok()?, Access::Existing).ok()?;
    question(&mut store).ok().flatten()
}

/// Returns the command line without the name of the program.
pub fn typed() -> Vec<String> {
    std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect()
}

/// Whether the command line is one of `user create`.
fn is_creation(args: &[String]) -> bool {
    has_verb(args, "user", &["create", "add", "new"])
}

/// Whether the command line puts something into a domain, or changes it: then it may be added.
fn needs_its_domain(args: &[String]) -> bool {
    has_verb(args, "user", &["copy", "cp", "import", "mv", "rename"])
        || has_verb(args, "domain", &["edit", "modify", "set", "update"])
        || args.first().is_some_and(|word| word == "apply")
}

fn has_verb(args: &[String], noun: &str, verbs: &[&str]) -> bool {
    let at = args.iter().position(|arg| arg == noun);
    let verb = at.and_then(|at| args.get(at + 1));
    verb.is_some_and(|verb| verbs.contains(&verb.as_str()))
}

fn with_flag(args: &[String], flag: &str) -> String {
    line(args.iter().map(String::as_str).chain([flag]))
}

/// Returns the command line with a new name in place of an old one. `None` if that makes no sense:
/// the old one is not in it, or the new one is.
fn with_name(args: &[String], old: &str, new: &str) -> Option<String> {
    let is_old = |arg: &str| {
        arg.parse::<Username>()
            .is_ok_and(|name| name.as_str() == old)
    };
    let found = args.iter().any(|arg| is_old(arg)) && !args.iter().any(|arg| arg == new);
    found.then(|| {
        line(args.iter().map(|arg| match arg.as_str() {
            arg if is_old(arg) => new,
            arg => arg,
        }))
    })
}

/// Returns the command line without a flag.
pub fn without(args: &[String], flag: &str) -> String {
    line(args.iter().map(String::as_str).filter(|arg| *arg != flag))
}

fn line<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(in_shell).collect();
    format!("smtpcred {}", words.join(" "))
}
