//! Names in the store that a person chooses from, where a command line lacks one or has only a
//! part of one. Scripts get an error.

use super::context::Context;
use super::terminal::output::OutputFormat;
use super::terminal::prompt::{agrees, choose, person_watches};
use crate::app::App;
use crate::app::near_names::{near_domain, near_user};
use crate::app::users::UserQuery;
use crate::error::{Error, Result};
use crate::model::name::in_unicode;
use crate::model::text;
use crate::model::time::Time;
use crate::model::user::User;
use crate::model::user_search::SearchText;
use crate::store::{Access, Page};

/// The most names to choose from. More are found faster with `user list TEXT`.
const MOST: u32 = 10_000;

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    User,
    Domain,
}

/// What a person answered.
pub enum Answer {
    Name(String),
    /// None of what was offered.
    Declined,
    /// There was nothing to offer.
    NotAsked,
}

/// The users for which a command does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suited {
    All,
    Suspended,
    NotSuspended,
    InOverlap,
}

/// Names, and how they are shown.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    items: Vec<String>,
}

/// Returns whether a person is there to ask. A command line that says yes beforehand is a script,
/// at a terminal as well.
pub fn person_chooses(context: &Context) -> bool {
    let table = context.out.format() == OutputFormat::Table;
    table && !context.confirmed_beforehand() && person_watches()
}

/// Lets a person choose a name. `None` if no person is there, or there is nothing to choose from,
/// or too much.
pub fn any(context: &Context, kind: NameKind, suited: Suited) -> Result<Option<String>> {
    if !person_chooses(context) {
        return Ok(None);
    }
    let mut app = context.app(Access::Existing)?;
    let found = Names::read(&mut app, kind, None, suited)?;
    if found.names.is_empty()
        && let Some(none) = suited.none()
    {
        return Err(Error::Usage(none.to_owned()));
    }
    found.chosen(kind.prompt(), context.out.is_colored())
}

/// Offers what this text may stand for, which is not a name in the store.
pub fn instead_of(
    context: &Context,
    kind: NameKind,
    suited: Suited,
    typed: &str,
) -> Result<Answer> {
    if !person_chooses(context) {
        return Ok(Answer::NotAsked);
    }
    let mut app = context.app(Access::Existing)?;
    // `shop` finds shop@example.com and web-shop@example.com.
    let part = typed.split('@').next().unwrap_or_default();
    let near = match kind {
        NameKind::User => near_user(&mut app.store, typed)?.map(|name| name.to_string()),
        NameKind::Domain => near_domain(&mut app.store, typed)?.map(|name| name.to_string()),
    };
    let found = match part.parse::<SearchText>() {
        Ok(text) => Names::read(&mut app, kind, Some(&text), suited)?,
        Err(_) => Names::default(),
    };
    let what = text::escaped(typed);
    // If a part finds several, the person knows which one is meant.
    let near = near.filter(|_| found.names.len() < 2 || typed.contains('@'));
    let only = || <[String; 1]>::try_from(found.names.clone()).ok();
    match near.or_else(|| only().map(|[one]| one)) {
        Some(one) if one == typed => Ok(Answer::NotAsked),
        Some(one) if agrees(&format!("did you mean {one}?"))? => Ok(Answer::Name(one)),
        Some(_) => Ok(Answer::Declined),
        None => {
            let prompt = format!("There is no {what}; choose");
            let chosen = found.chosen(&prompt, context.out.is_colored())?;
            Ok(chosen.map_or(Answer::NotAsked, Answer::Name))
        }
    }
}

impl Suited {
    /// Returns the users for this command of users.
    pub fn to_command(name: &str) -> Self {
        match name {
            "resume" => Self::Suspended,
            "suspend" => Self::NotSuspended,
            "retire" => Self::InOverlap,
            _ => Self::All,
        }
    }

    fn has(self, user: &User, now: Time) -> bool {
        match self {
            Self::All => true,
            Self::Suspended => user.suspended_at.is_some(),
            Self::NotSuspended => user.suspended_at.is_none(),
            Self::InOverlap => {
                let live = user.passwords.iter().filter(|one| one.is_live(now));
                live.count() > 1
            }
        }
    }

    const fn none(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Suspended => Some("no user is suspended"),
            Self::NotSuspended => Some("there is no user left to suspend"),
            Self::InOverlap => Some("no user has an old password that still works"),
        }
    }
}

impl Names {
    /// Reads all names, or those with this text in them.
    fn read(
        app: &mut App,
        kind: NameKind,
        with: Option<&SearchText>,
        suited: Suited,
    ) -> Result<Self> {
        let now = app.now();
        let mut all = Self::default();
        let page = Page {
            after: "",
            most: Some(MOST + 1),
        };
        match kind {
            NameKind::User => {
                let query = UserQuery {
                    text: with.cloned(),
                    ..UserQuery::default()
                };
                app.list_users(&query, &page, &mut |user, _| {
                    if suited.has(&user, now) {
                        let status = user.status(now).name();
                        let label = user.label.as_deref().unwrap_or_default();
                        let beside = format!("  {status}  {label}");
                        all.add(user.username.to_string(), beside.trim_end());
                    }
                    Ok(())
                })?;
            }
            NameKind::Domain => app.list_domains(&page, &mut |domain, _| {
                let name = domain.name.to_string();
                if with.is_none_or(|with| with.matches(&name, None)) {
                    all.add(name, "");
                }
                Ok(())
            })?,
        }
        Ok(all)
    }

    fn add(&mut self, name: String, beside: &str) {
        let shown = in_unicode(&name);
        let shown = shown.as_ref().unwrap_or(&name);
        self.items.push(text::escaped(&format!("{shown}{beside}")));
        self.names.push(name);
    }

    fn chosen(self, prompt: &str, colored: bool) -> Result<Option<String>> {
        if self.names.is_empty() || self.names.len() > MOST as usize {
            return Ok(None);
        }
        let chosen = choose(prompt, &self.items, colored)?;
        Ok(self.names.into_iter().nth(chosen))
    }
}

impl NameKind {
    const fn prompt(self) -> &'static str {
        match self {
            Self::User => "User (type part of the name or label)",
            Self::Domain => "Domain (type part of the name)",
        }
    }

    /// Returns how to list all names.
    pub const fn list(self) -> &'static str {
        match self {
            Self::User => "list all users with: smtpcred user list",
            Self::Domain => "list all domains with: smtpcred domain list",
        }
    }

    /// Returns a valid name, to parse the rest of a command line.
    pub const fn example(self) -> &'static str {
        match self {
            Self::User => "name@example.com",
            Self::Domain => "example.com",
        }
    }
}
