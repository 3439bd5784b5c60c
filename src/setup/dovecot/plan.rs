//! What to add to a Dovecot, computed from what `doveconf` prints.

use std::path::{Path, PathBuf};

use super::blocks::{Block, blocks};
use super::views::{ByHand, PASSDBS, names_a_view, query};
use crate::error::Result;
use crate::setup::refusal::refused;

/// What a refusal points to.
pub const BY_HAND: &str = "set it by hand: smtpcred show-server-config dovecot";
/// Dovecot's default of `auth_username_chars`.
const USUAL_CHARS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567890.-_@";
/// Formats of names that keep the domain.
const WHOLE_NAMES: [&str; 6] = [
    "",
    "%Lu",
    "%u",
    "%{user | lower}",
    "%{user|lower}",
    "%{user}",
];

/// What is found of a Dovecot.
pub struct Found {
    /// `2.3.19.1 (9b53102964)`
    pub version: String,
    /// Its file.
    pub main: PathBuf,
    /// The text of that file.
    pub text: String,
    /// What `doveconf -n` prints.
    pub config: String,
    /// The files with queries that 2.3 has, each with its text.
    pub queries: Vec<(String, String)>,
    /// The file of an earlier setup is there.
    pub own: bool,
    /// `auth_mechanisms`
    pub mechanisms: String,
    /// `auth_username_format`
    pub username_format: String,
    /// The user of `service auth-worker`; empty means root.
    pub worker: String,
    /// The driver for SQLite is installed.
    pub reads_sqlite: bool,
    /// The schemes of passwords that it knows.
    pub schemes: String,
    /// The store.
    pub store: String,
}

/// The files to write.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drafted {
    /// Each with its text, the one that Dovecot reads first at the end.
    pub files: Vec<(PathBuf, String)>,
    /// What an admin should know.
    pub warnings: Vec<String>,
}

/// Returns the files with queries that a configuration of 2.3 names.
pub fn query_files(config: &str) -> Vec<String> {
    let all = blocks(config);
    let sql = all
        .iter()
        .filter(|block| block.is_passdb() && block.driver() == "sql");
    let named = sql.filter_map(|block| block.value("args"));
    named.map(str::to_owned).collect()
}

/// Returns the files to write. Fails with the reason if they would not be safe.
pub fn plan(found: &Found) -> Result<Drafted> {
    let is_old = match found.version.get(..3) {
        Some("2.3") => true,
        Some("2.4") => false,
        _ => {
            return Err(refused(
                format!("setup does not know Dovecot {}", found.version),
                BY_HAND,
            ));
        }
    };
    let blocks = blocks(&found.config);
    let paths = Paths::new(&found.main);
    let passdbs = Passdbs::read(&blocks, found, &paths)?;
    settings_are_fit(found, &blocks[0])?;
    store_is_readable(found)?;
    if !passdbs.by_hand.is_empty() {
        return passdbs.left_as_made();
    }
    folder_is_read(found)?;
    let chars = passdbs.chars();
    let own = blocks[0].value("auth_username_chars");
    let sets_chars = own.is_none_or(|own| own == chars);
    let mut drafted = Drafted::default();
    drafted.warnings.extend(passdbs.warning());
    if let Some(own) = own.filter(|own| !own.is_empty() && !own.contains('+')) {
        drafted.warnings.push(format!(
            "users with a + in their names cannot sign in: auth_username_chars = {own}"
        ));
    }
    if !blocks.iter().any(is_asked) {
        drafted.warnings.push(
            "no mail server asks Dovecot yet: its `service auth` has no listener for one".into(),
        );
    }
    if is_old {
        for (path, (_, view)) in paths.queries.iter().zip(PASSDBS) {
            drafted
                .files
                .push((path.into(), query_file(&found.store, view)));
        }
    }
    let text = config_file(is_old, found, &paths, sets_chars.then_some(chars.as_str()));
    drafted.files.push((paths.config, text));
    Ok(drafted)
}

/// Returns the file that setup adds to a Dovecot with this main file.
pub fn own_file(main: &Path) -> PathBuf {
    let folder = main.parent().unwrap_or_else(|| Path::new("/"));
    folder.join("conf.d/00-smtpcred.conf")
}

/// Where our files are.
struct Paths {
    config: PathBuf,
    /// Of 2.3.
    queries: [String; 2],
}

impl Paths {
    fn new(main: &Path) -> Self {
        let folder = main.parent().unwrap_or_else(|| Path::new("/"));
        let query = |name: &str| {
            let file = folder.join(format!("dovecot-sql-{name}.conf.ext"));
            file.display().to_string()
        };
        Self {
            // Before other passdbs: PAM would write down, and delay, each sign-in of our users.
            config: own_file(main),
            queries: ["smtpcred", "smtpcred-overlap"].map(query),
        }
    }
}

/// Fails if Dovecot would not read our file.
fn folder_is_read(found: &Found) -> Result<()> {
    let includes = |line: &str| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("!include" | "!include_try"))
            && words.next() == Some("conf.d/*.conf")
    };
    if found.text.lines().any(includes) {
        return Ok(());
    }
    Err(refused(
        format!("{} does not include conf.d/*.conf", found.main.display()),
        "add the line `!include_try conf.d/*.conf` to it, and try again",
    ))
}

/// The passdbs that are there.
#[derive(Default)]
struct Passdbs {
    /// The views of this store that passdbs made by an admin read; `None` for one that is not as
    /// show-server-config prints it.
    by_hand: Vec<Option<&'static str>>,
    /// The drivers of all others.
    others: Vec<String>,
}

impl Passdbs {
    /// Fails if ours cannot stand beside one of them.
    fn read(blocks: &[Block<'_>], found: &Found, paths: &Paths) -> Result<Self> {
        let mut read = Self::default();
        for block in blocks.iter().filter(|block| block.is_passdb()) {
            let args = block.value("args").unwrap_or_default();
            let is_ours = paths.queries.iter().any(|path| path == args)
                || PASSDBS.iter().any(|(name, _)| *name == block.name());
            if is_ours && found.own {
                continue;
            }
            let refuse = |what: &str| Err(refused(format!("a passdb {what}"), BY_HAND));
            if let Some(outer) = block.around.first() {
                return refuse(&format!("is inside `{outer}`"));
            }
            let is_yes = |name| block.value(name) == Some("yes");
            if is_yes("deny") || is_yes("passdb_deny") {
                return refuse("denies users, which works only before all others");
            }
            let values = || block.settings.iter().map(|(_, value)| *value);
            let any = |what: &str| {
                block
                    .settings
                    .iter()
                    .any(|(name, value)| name.contains(what) || value.contains(what))
            };
            if block.driver() == "static" || any("nopassword") {
                return refuse("accepts any password");
            }
            let query = found.queries.iter().find(|(path, _)| path == args);
            let query = query.map_or("", |(_, text)| text.as_str());
            if values().chain([query]).any(names_a_view) {
                let by_hand = ByHand::new(block, &blocks[0], query);
                read.by_hand.push(by_hand.view(&found.store));
            } else {
                read.others.push(block.driver().to_owned());
            }
        }
        Ok(read)
    }

    /// Returns a plan that changes nothing, if what an admin has made is right.
    fn left_as_made(&self) -> Result<Drafted> {
        let is_read = |(_, view): &(_, &'static str)| self.by_hand.contains(&Some(view));
        if !self.by_hand.contains(&None) && PASSDBS.iter().all(is_read) {
            return Ok(Drafted::default());
        }
        Err(refused(
            "Dovecot has a passdb already that reads a store of smtpcred, but not all of this one",
            "check it: smtpcred show-server-config dovecot --check; or remove it and try again",
        ))
    }

    fn warning(&self) -> Option<String> {
        (!self.others.is_empty()).then(|| {
            format!(
                "users of the passdb {} can still sign in",
                self.others.join(", ")
            )
        })
    }

    /// Returns the characters of names. Others may rely on Dovecot to refuse what they do not
    /// expect.
    fn chars(&self) -> String {
        if self.others.is_empty() {
            String::new()
        } else {
            format!("{USUAL_CHARS}+")
        }
    }
}

/// Returns whether it is a listener at which a mail server can ask.
fn is_asked(block: &Block<'_>) -> bool {
    let listens =
        block.head.starts_with("unix_listener /") || block.head.starts_with("inet_listener");
    listens && block.around.last() == Some(&"service auth")
}

/// Fails if settings that are there keep our users from signing in, or let them in too long.
fn settings_are_fit(found: &Found, global: &Block<'_>) -> Result<()> {
    let mut mechanisms = found.mechanisms.split_whitespace();
    if !mechanisms.any(|one| one.eq_ignore_ascii_case("plain")) {
        return Err(refused(
            format!(
                "auth_mechanisms = {} lacks plain, which smtpcred's hashes need",
                found.mechanisms
            ),
            "add plain to it, and try again",
        ));
    }
    if !WHOLE_NAMES.contains(&found.username_format.as_str()) {
        return Err(refused(
            format!(
                "auth_username_format = {} changes names, and smtpcred's have a domain",
                found.username_format
            ),
            BY_HAND,
        ));
    }
    let cache = global.value("auth_cache_size").unwrap_or("0");
    if !cache.starts_with('0') {
        return Err(refused(
            format!("auth_cache_size = {cache}: suspended users and old passwords could sign in"),
            "set auth_cache_size = 0, and try again",
        ));
    }
    Ok(())
}

/// Fails if Dovecot cannot read the store or its hashes.
fn store_is_readable(found: &Found) -> Result<()> {
    if !found.reads_sqlite {
        return Err(refused(
            "Dovecot's driver for SQLite is not installed",
            "install it first: apt install dovecot-sqlite",
        ));
    }
    if !found
        .schemes
        .split_whitespace()
        .any(|one| one == "ARGON2ID")
    {
        return Err(refused(
            "this Dovecot does not know ARGON2ID, the scheme of smtpcred's hashes",
            "install one that is built with libsodium",
        ));
    }
    if !matches!(found.worker.as_str(), "" | "root") {
        return Err(refused(
            format!(
                "Dovecot's auth-worker runs as {}, which cannot read the store",
                found.worker
            ),
            "set user = root in `service auth-worker`, and try again",
        ));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if !found.store.chars().all(is_plain) {
        return Err(refused(
            format!(
                "the path of the store, {}, has characters that Dovecot may read otherwise",
                found.store
            ),
            "use a store elsewhere: --store",
        ));
    }
    Ok(())
}

/// Returns the file with the query of 2.3.
fn query_file(store: &str, view: &str) -> String {
    let query = query(true, view);
    format!(
        "# By `smtpcred setup dovecot`.\n\
         driver = sqlite\n\
         connect = {store}\n\
         # For mail servers alone: these passwords open no mailbox.\n\
         password_query = {query}\n"
    )
}

/// Returns the file that Dovecot includes.
fn config_file(is_old: bool, found: &Found, paths: &Paths, chars: Option<&str>) -> String {
    let mut text = "\
# By `smtpcred setup dovecot`: --undo removes it.
#
# Dovecot looks users up in smtpcred's store itself: without `smtpcred serve`
# there are no limits, no last connection and no throttle but Dovecot's own.

"
    .to_owned();
    if !is_old {
        text.push_str("# For mail servers alone: these passwords open no mailbox.\n");
    }
    for (at, (name, view)) in PASSDBS.into_iter().enumerate() {
        if at == 1 {
            text.push_str("# The old password, while both work (user reset --overlap).\n");
        }
        let passdb = if is_old {
            format!(
                "passdb {{\n  driver = sql\n  args = {}\n}}\n",
                paths.queries[at]
            )
        } else {
            format!(
                "passdb {name} {{\n  driver = sql\n  sql_driver = sqlite\n  sqlite_path = {}\n  \
                 sql_query = {}\n}}\n",
                found.store,
                query(false, view)
            )
        };
        text.push_str(&passdb);
    }
    if let Some(chars) = chars {
        text.push_str("\n# Dovecot refuses names with a + in them otherwise.\n");
        text.push_str(format!("auth_username_chars = {chars}").trim_end());
        text.push('\n');
    }
    text
}
