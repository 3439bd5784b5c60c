//! Reads and checks all rows, and reports all problems at once. Nothing is changed here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::BufRead;

use super::row::{self, RequestedUser};
use super::{BulkRequest, PlannedUser, RowProblem};
use crate::app::World;
use crate::app::capacity::DomainCapacity;
use crate::app::columns::OF_NEW_USERS;
use crate::app::credential::Name;
use crate::app::usernames::{free_username, is_named_after, random_username};
use crate::error::{Error, Result};
use crate::formats::input::{read_error, strip_bom};
use crate::formats::row::ParsedRow;
use crate::formats::{csv, json};
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::old_name::OldName;
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::{Page, Store, UserFilter};

/// Reports problems, and knows where passwords go.
pub trait BulkReporter {
    /// Reports a problem of a row.
    fn problem(&mut self, problem: &RowProblem) -> Result<()>;
    /// Returns why the password of this user cannot be delivered, if so.
    fn refuses(&self, username: &Username) -> Option<String>;
}

/// What a file asks to create.
#[derive(Debug, Default)]
pub struct BulkPlan {
    /// The users to create, in the order of the file.
    pub users: Vec<PlannedUser>,
    /// How many users exist and were left out.
    pub skipped: u64,
}

/// How many rows are looked up at once.
const TOGETHER: usize = 256;

struct Planning<'a> {
    /// `None` if the store does not exist yet.
    store: Option<&'a mut Store>,
    world: World,
    request: &'a BulkRequest,
    reporter: &'a dyn BulkReporter,
    /// The rows of chosen usernames.
    named: HashMap<String, i64>,
    generated: HashSet<String>,
    capacity: DomainCapacity,
    /// Domains that do not exist yet.
    new_domains: BTreeSet<DomainName>,
    /// How many existing users have a label and are in no row, by domain and label.
    labelled: HashMap<String, HashMap<String, u64>>,
    plan: BulkPlan,
    problems: Vec<RowProblem>,
}

/// Reads a file and plans its users. Fails if any row is bad, after all problems were
/// reported.
pub fn plan_users(
    store: Option<&mut Store>,
    world: World,
    input: &mut dyn BufRead,
    request: &BulkRequest,
    reporter: &mut dyn BulkReporter,
) -> Result<BulkPlan> {
    let now = (world.now)().plausible()?;
    request.user.expires_at(now)?;
    let (wanted, problems) = read(input, request, now)?;
    let mut planning = Planning {
        store,
        world,
        request,
        reporter: &*reporter,
        named: HashMap::new(),
        generated: HashSet::new(),
        capacity: DomainCapacity::default(),
        new_domains: BTreeSet::new(),
        labelled: HashMap::new(),
        plan: BulkPlan::default(),
        problems,
    };
    let wanted = planning.without_doubles(wanted);
    let mut wanted = wanted.into_iter();
    loop {
        let piece: Vec<_> = wanted.by_ref().take(TOGETHER).collect();
        if piece.is_empty() {
            break;
        }
        planning.add_all(piece)?;
    }
    let Planning { plan, problems, .. } = planning;
    report(problems, reporter)?;
    Ok(plan)
}

/// Reads JSON if the file begins like it, otherwise CSV.
fn read(
    input: &mut dyn BufRead,
    request: &BulkRequest,
    now: Time,
) -> Result<(Vec<RequestedUser>, Vec<RowProblem>)> {
    let (mut wanted, mut problems) = (Vec::new(), Vec::new());
    let input = &mut *strip_bom(input)?;
    let begins = input.fill_buf().map_err(|e| read_error(&e))?;
    let is_json = matches!(begins.trim_ascii_start().first(), Some(b'[' | b'{'));
    let mut take = |read| {
        match read {
            ParsedRow::Bad(problem, _) => problems.push(problem),
            ParsedRow::Good(row) => match row::check(&row, request, now, is_json) {
                Ok(row) => wanted.push(row),
                Err(all) => problems.extend(all),
            },
        }
        Ok(())
    };
    if is_json {
        json::read(OF_NEW_USERS, input, &mut take)?;
    } else {
        csv::read(OF_NEW_USERS, input, &mut take)?;
    }
    Ok((wanted, problems))
}

/// Reports problems in the order of rows. Fails if there are any.
fn report(mut problems: Vec<RowProblem>, reporter: &mut dyn BulkReporter) -> Result<()> {
    problems.sort_by_key(|problem| problem.row);
    let (mut bad, mut last) = (0, None);
    for problem in &problems {
        bad += u64::from(last != Some(problem.row));
        last = Some(problem.row);
        reporter.problem(problem)?;
    }
    if bad > 0 {
        Err(Error::BadRows {
            rows: bad,
            can_skip: false,
        })
    } else {
        Ok(())
    }
}

impl Planning<'_> {
    fn bad(&mut self, row: i64, reason: String) {
        self.problems.push(RowProblem::new(row, "username", reason));
    }

    fn without_doubles(&mut self, wanted: Vec<RequestedUser>) -> Vec<RequestedUser> {
        let mut once = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            if let Name::Chosen(username) = &wanted.name {
                if let Some(first) = self.named.get(username.as_str()) {
                    self.bad(wanted.row, format!("is in row {first}, too"));
                    continue;
                }
                self.named.insert(username.to_string(), wanted.row);
            }
            once.push(wanted);
        }
        once
    }

    fn add_all(&mut self, piece: Vec<RequestedUser>) -> Result<()> {
        let mut names = Vec::with_capacity(piece.len());
        for wanted in &piece {
            names.push(match &wanted.name {
                Name::Chosen(username) => username.clone(),
                Name::Generated(domain, label) => {
                    random_username(self.world.random, domain, label.as_ref())?
                }
            });
        }
        let mut there: Vec<bool> = names.iter().map(|_| false).collect();
        let mut old_names: Vec<Option<OldName>> = vec![None; names.len()];
        if let Some(store) = self.store.as_deref_mut() {
            let domains: Vec<_> = names.iter().map(Username::domain).collect();
            self.capacity.look_up(store, domains.iter())?;
            let all: Vec<_> = names.iter().collect();
            let found = store.users_named(&all)?;
            there = found.iter().map(Option::is_some).collect();
            old_names = store.old_names_named(&all)?;
        }
        let now = (self.world.now)();
        let looked_up = there.into_iter().zip(old_names);
        for ((wanted, username), (there, old)) in piece.into_iter().zip(names).zip(looked_up) {
            match old.filter(|old| old.works(now)) {
                Some(old) => {
                    let reason = format!("is an old name of {} that still works", old.username);
                    self.bad(wanted.row, reason);
                }
                None => self.add(wanted, username, there)?,
            }
        }
        Ok(())
    }

    /// Plans one user. `username` may be generated; `is_there` is whether it exists.
    fn add(&mut self, wanted: RequestedUser, username: Username, is_there: bool) -> Result<()> {
        let row = wanted.row;
        let there = match &wanted.name {
            Name::Chosen(_) => is_there,
            Name::Generated(domain, Some(label)) if self.request.skip_existing => {
                self.is_labelled(domain, label)?
            }
            Name::Generated(..) => false,
        };
        match (there, self.request.skip_existing) {
            (true, true) => self.plan.skipped += 1,
            (true, false) => {
                self.bad(row, "already exists: --skip-existing skips it".into());
            }
            (false, _) => self.add_new(wanted, username, is_there)?,
        }
        Ok(())
    }

    fn add_new(&mut self, wanted: RequestedUser, username: Username, is_there: bool) -> Result<()> {
        let row = wanted.row;
        let domain = username.domain();
        if let Some(reason) = self.no_room(&domain)? {
            self.bad(row, reason);
            return Ok(());
        }
        let made_up = matches!(wanted.name, Name::Generated(..));
        let username = match wanted.name {
            Name::Generated(_, label) if is_there || self.is_taken(&username) => {
                let (named, generated) = (&self.named, &self.generated);
                let store = self.store.as_deref_mut();
                let random = self.world.random;
                free_username(store, random, &domain, label.as_ref(), &|name| {
                    named.contains_key(name.as_str()) || generated.contains(name.as_str())
                })?
            }
            _ => username,
        };
        if made_up {
            self.generated.insert(username.to_string());
        }
        if let Some(reason) = self.reporter.refuses(&username) {
            self.bad(row, reason);
            return Ok(());
        }
        self.plan.users.push(PlannedUser {
            row,
            username,
            new_domain: self.new_domains.contains(&domain),
            made_up,
            user: wanted.user,
        });
        Ok(())
    }

    fn is_taken(&self, username: &Username) -> bool {
        let name = username.as_str();
        self.named.contains_key(name) || self.generated.contains(name)
    }

    /// Takes a place in the domain, or returns why there is none.
    fn no_room(&mut self, domain: &DomainName) -> Result<Option<String>> {
        if self.request.add_domain && !self.capacity.has(domain) {
            self.capacity.add(domain);
            self.new_domains.insert(domain.clone());
        }
        match self.capacity.take(domain) {
            Ok(()) => Ok(None),
            Err(Error::DomainNotFound(_)) => Ok(Some(
                "has a domain that does not exist: --add-domain adds it".into(),
            )),
            Err(Error::UserLimit { limit, .. }) => Ok(Some(format!(
                "has a domain with its limit of {}",
                count(limit.into(), "user")
            ))),
            Err(error) => Err(error),
        }
    }

    /// Returns whether an earlier run created a user of this label. Each such user stands
    /// for one row.
    fn is_labelled(&mut self, domain: &DomainName, label: &Label) -> Result<bool> {
        if !self.labelled.contains_key(domain.as_str()) {
            let mut found: HashMap<String, u64> = HashMap::new();
            let named = &self.named;
            let of_domain = UserFilter::of(domain);
            let (all, now) = (Page::default(), (self.world.now)());
            let Some(store) = self.store.as_deref_mut() else {
                return Ok(false);
            };
            store.users(&of_domain, &all, now, &mut |user| {
                let Some(label) = user.label.and_then(|text| text.parse::<Label>().ok()) else {
                    return Ok(());
                };
                let is_generated = is_named_after(&user.username, &label)
                    && !named.contains_key(user.username.as_str());
                if is_generated {
                    *found.entry(label.as_str().to_owned()).or_default() += 1;
                }
                Ok(())
            })?;
            self.labelled.insert(domain.to_string(), found);
        }
        let found = self.labelled.get_mut(domain.as_str());
        let left = found.and_then(|labels| labels.get_mut(label.as_str()));
        Ok(match left {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        })
    }
}
