//! What each role may use: a list of commands and of their flags. What is not on it is refused.

use clap::{ArgMatches, Command};

use crate::model::holder::HolderRole;

use HolderRole::{Operator, Own, Viewer};

/// A command with the arguments that a role may give, by their ids.
pub struct Rule {
    command: &'static str,
    roles: &'static [HolderRole],
    arguments: &'static [&'static str],
    /// Without these it is about more than the role.
    needed: &'static [&'static str],
}

/// The flags of every command.
const GLOBAL: [&str; 6] = ["format", "json", "yes", "quiet", "no_pager", "color"];

const READERS: &[HolderRole] = &[Viewer, Operator];
const OPERATORS: &[HolderRole] = &[Operator];
const EVERYBODY: &[HolderRole] = &[Viewer, Operator, Own];

const RULES: &[Rule] = &[
    Rule {
        command: "domain list",
        roles: READERS,
        arguments: &["after", "limit", "wide", "columns"],
        needed: &[],
    },
    Rule {
        command: "domain show",
        roles: READERS,
        arguments: &["name"],
        needed: &[],
    },
    Rule {
        command: "user list",
        roles: READERS,
        arguments: &[
            "text",
            "domain",
            "status",
            "stale",
            "never_used",
            "expiring",
            "overlap",
            "tag",
            "after",
            "limit",
            "sort",
            "wide",
            "columns",
        ],
        needed: &[],
    },
    Rule {
        command: "user show",
        roles: EVERYBODY,
        arguments: &["username"],
        needed: &[],
    },
    Rule {
        command: "why",
        roles: EVERYBODY,
        arguments: &["name", "from"],
        needed: &[],
    },
    Rule {
        command: "show-settings",
        roles: EVERYBODY,
        arguments: &["name", "client", "port"],
        // The settings of the installation name commands of the owner.
        needed: &["name"],
    },
    Rule {
        command: "user create",
        roles: OPERATORS,
        arguments: &[
            "username",
            "domain",
            "label",
            "expires_in",
            "expires_at",
            "note",
            "tag",
            "daily_limit",
            "limit",
            "short_password",
            "reveal",
        ],
        needed: &[],
    },
    Rule {
        command: "user reset",
        roles: &[Operator, Own],
        arguments: &["usernames", "overlap", "short_password", "reveal"],
        needed: &[],
    },
    Rule {
        // Without --from, which would override the rules of the owner for addresses.
        command: "user issue",
        roles: OPERATORS,
        arguments: &["username", "lifetime", "label", "short_password", "reveal"],
        needed: &[],
    },
    Rule {
        command: "user retire",
        roles: OPERATORS,
        arguments: &["username", "password_id"],
        needed: &[],
    },
    Rule {
        command: "user rotate",
        roles: OPERATORS,
        arguments: &["usernames", "overlap", "retire", "overlap_max"],
        needed: &["usernames"],
    },
    Rule {
        command: "user set",
        roles: OPERATORS,
        arguments: &[
            "username",
            "label",
            "note",
            "tag",
            "remove_tag",
            "daily_limit",
            "limit",
            "expires_in",
            "expires_at",
        ],
        needed: &[],
    },
    Rule {
        command: "user suspend",
        roles: OPERATORS,
        arguments: &["usernames", "domain"],
        needed: &[],
    },
    Rule {
        command: "user resume",
        roles: OPERATORS,
        arguments: &["usernames", "domain"],
        needed: &[],
    },
    Rule {
        command: "user delete",
        roles: OPERATORS,
        arguments: &["usernames"],
        needed: &[],
    },
];

impl Rule {
    /// Returns whether an argument may be given.
    pub fn allows(&self, id: &str) -> bool {
        self.arguments.contains(&id) || GLOBAL.contains(&id)
    }

    /// Returns the arguments that must be given.
    pub const fn needed(&self) -> &'static [&'static str] {
        self.needed
    }
}

/// Returns what a role may do with a command; `None` if it may not use it.
pub fn rule(path: &str, role: HolderRole) -> Option<&'static Rule> {
    let mut rules = RULES.iter();
    rules.find(|rule| rule.command == path && rule.roles.contains(&role))
}

/// Returns the commands of a role.
pub fn commands(role: HolderRole) -> Vec<&'static str> {
    let rules = RULES.iter().filter(|rule| rule.roles.contains(&role));
    rules.map(|rule| rule.command).collect()
}

/// Returns the command that was typed, by its own names, with its arguments.
pub fn path_of<'a>(
    mut matches: &'a ArgMatches,
    mut command: &'a Command,
) -> (String, &'a ArgMatches, &'a Command) {
    let mut path = Vec::new();
    while let Some((name, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else {
            break;
        };
        path.push(found.get_name());
        (matches, command) = (below, found);
    }
    (path.join(" "), matches, command)
}

/// Returns a table of each command and each of its arguments, with what each role may use:
/// `command argument viewer operator self`. For a test.
pub fn verdicts(command: &Command) -> Vec<String> {
    let mut lines = Vec::new();
    add(command, &mut Vec::new(), &mut lines);
    lines
}

fn add<'a>(command: &'a Command, path: &mut Vec<&'a str>, lines: &mut Vec<String>) {
    if command.has_subcommands() {
        for below in command.get_subcommands() {
            path.push(below.get_name());
            add(below, path, lines);
            path.pop();
        }
        return;
    }
    let name = path.join(" ");
    let line = |what: &str, may: &dyn Fn(&Rule) -> bool| {
        let said = HolderRole::ALL.map(|role| match rule(&name, role) {
            Some(rule) if may(rule) => "yes",
            _ => "no",
        });
        format!("{name},{what},{}", said.join(","))
    };
    lines.push(line("", &|_| true));
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        // Of a program that everybody can read.
        if ["help", "version"].contains(&id) {
            continue;
        }
        let shown = arg
            .get_long()
            .map_or_else(|| id.to_uppercase(), |long| format!("--{long}"));
        lines.push(line(&shown, &|rule| rule.allows(id)));
    }
}
