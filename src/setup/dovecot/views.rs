//! The views of the store that Dovecot reads, and the queries for them.

use super::blocks::Block;

/// The passdbs by the names that 2.4 gives them, each with its view.
pub const PASSDBS: [(&str, &str); 2] = [
    ("smtpcred", "dovecot_users"),
    ("smtpcred_overlap", "dovecot_overlap"),
];
/// The user who signs in, in the syntaxes of 2.3 and 2.4.
const USERS: [&str; 2] = ["%u", "%{user}"];
/// What it signs in for.
const SERVICES: [&str; 2] = ["%s", "%{protocol}"];

/// Returns the query that setup writes.
pub fn query(is_old: bool, view: &str) -> String {
    let at = usize::from(!is_old);
    query_of(view, USERS[at], SERVICES[at])
}

fn query_of(view: &str, user: &str, service: &str) -> String {
    format!("{} AND '{service}' = 'smtp'", select(view, user))
}

fn select(view: &str, user: &str) -> String {
    format!("SELECT username AS user, password FROM {view} WHERE username = '{user}'")
}

/// Returns whether a text has the name of a view in it.
pub fn names_a_view(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.any(|word| PASSDBS.iter().any(|(_, view)| *view == word))
}

/// A passdb that an admin has made for us.
pub struct ByHand<'a> {
    settings: &'a [(&'a str, &'a str)],
    store: Option<&'a str>,
    query: Option<&'a str>,
}

impl<'a> ByHand<'a> {
    /// 2.3 has the store and the query in a file, 2.4 in the passdb; its store may also be named
    /// once for all.
    pub fn new(block: &'a Block<'a>, global: &'a Block<'a>, file: &'a str) -> Self {
        let in_file = |name| {
            let mut lines = file.lines().filter_map(|line| line.split_once(" = "));
            let found = lines.find(|(own, _)| own.trim() == name);
            found.map(|(_, value)| value.trim())
        };
        let path = |block: &'a Block<'a>| block.value("sqlite_path");
        Self {
            settings: &block.settings,
            store: path(block)
                .or_else(|| path(global))
                .or_else(|| in_file("connect")),
            query: block
                .value("sql_query")
                .or_else(|| in_file("password_query")),
        }
    }

    /// Returns the view that it reads, if it is as show-server-config prints it.
    pub fn view(&self, store: &str) -> Option<&'static str> {
        const USUAL: [&str; 5] = ["args", "driver", "sql_driver", "sql_query", "sqlite_path"];
        let is_usual = |(name, _): &(&str, &str)| USUAL.contains(name);
        if !self.settings.iter().all(is_usual) || self.store != Some(store) {
            return None;
        }
        let query = self.query?.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_read = |view: &&str| {
            let usual = USERS.iter().zip(SERVICES);
            let mut usual = usual
                .flat_map(|(user, service)| [select(view, user), query_of(view, user, service)]);
            usual.any(|usual| usual == query)
        };
        PASSDBS.iter().map(|(_, view)| *view).find(is_read)
    }
}
