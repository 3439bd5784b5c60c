//! All rows are read and checked, and all that is wrong is told at once. Nothing is
//! changed here.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use super::row::{self, COLUMNS, Wanted};
use super::{BulkRequest, PlannedUser, Problem};
use crate::app::World;
use crate::app::credential::{Name, free_username, is_named_after};
use crate::app::import::format::{Read1, failed, without_mark};
use crate::app::import::{csv, json};
use crate::error::{Error, Result};
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::store::{Page, Store, UserFilter};

/// Who is told of what is wrong, and knows where passwords go.
pub trait Clerk {
    fn problem(&mut self, problem: &Problem) -> Result<()>;
    /// Why the password of this user could not be handed over.
    fn refuses(&self, username: &Username) -> Option<String>;
}

#[derive(Debug, Default)]
pub struct Plan {
    /// In the order of the file.
    pub users: Vec<PlannedUser>,
    /// Users that are there.
    pub skipped: u64,
}

/// Of a domain that rows name.
struct Room {
    most: Option<u32>,
    /// With those of the file.
    users: u64,
}

struct Planning<'a> {
    /// Without one there is nobody yet.
    store: Option<&'a mut Store>,
    world: World,
    request: &'a BulkRequest,
    clerk: &'a dyn Clerk,
    /// By name: in which row.
    named: HashMap<String, i64>,
    generated: HashSet<String>,
    /// Nothing of a domain that is not there.
    rooms: HashMap<String, Option<Room>>,
    /// Users there are, by domain and label, that no row has named.
    labelled: HashMap<String, HashMap<String, u64>>,
    plan: Plan,
    problems: Vec<Problem>,
}

pub fn plan_users(
    store: Option<&mut Store>,
    world: World,
    input: &mut dyn BufRead,
    request: &BulkRequest,
    clerk: &mut dyn Clerk,
) -> Result<Plan> {
    (world.now)().plausible()?;
    let (wanted, problems) = read(input, request)?;
    let mut planning = Planning {
        store,
        world,
        request,
        clerk: &*clerk,
        named: HashMap::new(),
        generated: HashSet::new(),
        rooms: HashMap::new(),
        labelled: HashMap::new(),
        plan: Plan::default(),
        problems,
    };
    let wanted = planning.without_doubles(wanted);
    for wanted in wanted {
        planning.add(wanted)?;
    }
    let Planning { plan, problems, .. } = planning;
    told(problems, clerk)?;
    Ok(plan)
}

/// What begins as JSON is JSON.
fn read(input: &mut dyn BufRead, request: &BulkRequest) -> Result<(Vec<Wanted>, Vec<Problem>)> {
    let (mut wanted, mut problems) = (Vec::new(), Vec::new());
    let input = &mut *without_mark(input)?;
    let begins = input.fill_buf().map_err(|e| failed(&e))?;
    let is_json = matches!(begins.trim_ascii_start().first(), Some(b'[' | b'{'));
    let mut take = |read| {
        match read {
            Read1::Bad(problem, _) => problems.push(problem),
            Read1::Row(raw) => match row::check(&raw, request, is_json) {
                Ok(row) => wanted.push(row),
                Err(all) => problems.extend(all),
            },
        }
        Ok(())
    };
    if is_json {
        json::read(COLUMNS, input, &mut take)?;
    } else {
        csv::read(COLUMNS, input, &mut take)?;
    }
    Ok((wanted, problems))
}

/// In the order of rows; those that are fine do not matter then.
fn told(mut problems: Vec<Problem>, clerk: &mut dyn Clerk) -> Result<()> {
    problems.sort_by_key(|problem| problem.row);
    let (mut bad, mut last) = (0, None);
    for problem in &problems {
        bad += u64::from(last != Some(problem.row));
        last = Some(problem.row);
        clerk.problem(problem)?;
    }
    if bad > 0 {
        Err(Error::BadUsers(bad))
    } else {
        Ok(())
    }
}

impl Planning<'_> {
    fn bad(&mut self, row: i64, reason: String) {
        self.problems.push(Problem::new(row, "username", reason));
    }

    fn without_doubles(&mut self, wanted: Vec<Wanted>) -> Vec<Wanted> {
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

    fn add(&mut self, wanted: Wanted) -> Result<()> {
        let row = wanted.row;
        let there = match &wanted.name {
            Name::Chosen(username) => match self.store.as_deref_mut() {
                Some(store) => store.user(username)?.is_some(),
                None => false,
            },
            Name::Generated(domain, Some(label)) if self.request.skip_existing => {
                self.is_labelled(domain, label)?
            }
            Name::Generated(..) => false,
        };
        match (there, self.request.skip_existing) {
            (true, true) => self.plan.skipped += 1,
            (true, false) => {
                self.bad(row, "exists already: --skip-existing leaves it out".into());
            }
            (false, _) => self.add_new(wanted)?,
        }
        Ok(())
    }

    fn add_new(&mut self, wanted: Wanted) -> Result<()> {
        let row = wanted.row;
        let domain = match &wanted.name {
            Name::Chosen(username) => username.domain(),
            Name::Generated(domain, _) => domain.clone(),
        };
        if let Some(reason) = self.no_room(&domain)? {
            self.bad(row, reason);
            return Ok(());
        }
        let made_up = matches!(wanted.name, Name::Generated(..));
        let username = match wanted.name {
            Name::Chosen(username) => username,
            Name::Generated(domain, label) => {
                let (named, generated) = (&self.named, &self.generated);
                let store = self.store.as_deref_mut();
                let random = self.world.random;
                let username = free_username(store, random, &domain, label.as_ref(), &|name| {
                    named.contains_key(name.as_str()) || generated.contains(name.as_str())
                })?;
                self.generated.insert(username.to_string());
                username
            }
        };
        if let Some(reason) = self.clerk.refuses(&username) {
            self.bad(row, reason);
            return Ok(());
        }
        self.plan.users.push(PlannedUser {
            row,
            username,
            made_up,
            user: wanted.user,
        });
        Ok(())
    }

    /// Takes a place in the domain, or says why there is none.
    fn no_room(&mut self, domain: &DomainName) -> Result<Option<String>> {
        if !self.rooms.contains_key(domain.as_str()) {
            let mut there = None;
            if let Some(store) = self.store.as_deref_mut()
                && let Some(found) = store.domain(domain)?
            {
                there = Some(Room {
                    most: found.max_users,
                    users: match found.max_users {
                        Some(_) => store.user_count(domain)?,
                        None => 0,
                    },
                });
            }
            let room = match there {
                Some(room) => Some(room),
                None if self.request.add_domain => Some(Room {
                    most: None,
                    users: 0,
                }),
                None => None,
            };
            self.rooms.insert(domain.to_string(), room);
        }
        let Some(Some(room)) = self.rooms.get_mut(domain.as_str()) else {
            return Ok(Some(
                "has a domain that is not there: --add-domain adds it".into(),
            ));
        };
        match room.most {
            Some(most) if room.users >= most.into() => {
                Ok(Some(format!("has a domain with its limit of {most} users")))
            }
            _ => {
                room.users += 1;
                Ok(None)
            }
        }
    }

    /// Whether an earlier run made a user of this label. Of several rows of one label
    /// as many are there as users.
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
