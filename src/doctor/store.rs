//! The store: does it exist, is it intact, and can the right processes use it? A long file,
//! because each check builds on what the one before it has found.

use std::cmp::Ordering;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access as may_access, geteuid};

use super::access::{self, Identity, described};
use super::depth::{ALL_OF_IT, Depth};
use super::files::size;
use super::findings::{Area, Cause, Findings, quoted};
use super::wal::StoreLog;
use crate::app::verify::{ReadabilityCheck, check_readable};
use crate::app::{App, World};
use crate::error::Error;
use crate::model::settings::Settings;
use crate::model::text::count;
use crate::store::{
    Access, Hole, Integrity, Location, Store, UserScan, WriterKind, file_system, holes,
};

/// What the other checks need of the store.
pub struct ExaminedStore {
    /// `None` for a PostgreSQL database.
    pub file: Option<PathBuf>,
    /// `None` if this program cannot read it.
    pub app: Option<App>,
    /// Why it cannot; `None` if it can.
    pub unread: Option<Cause>,
    /// The defaults if the store cannot be read.
    pub settings: Settings,
}

impl ExaminedStore {
    /// Returns why the store cannot be used; `None` if it can.
    pub fn broken(&self) -> Option<&Cause> {
        self.unread.as_ref().filter(|cause| cause.fails)
    }
}

/// The result of a check that needs the store, if the store cannot be read.
pub const UNREAD: &str = "not checked";

/// How long to wait for a lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// In bytes. A log, and what SQLite needs to empty it, must fit.
const LEAST_SPACE: u64 = 16 << 20;
const LITTLE_SPACE: u64 = 200 << 20;

/// Checks the store, and returns what the other checks need of it.
pub fn examine(
    findings: &mut Findings,
    location: &Location,
    world: World,
    depth: Depth,
) -> ExaminedStore {
    let mut area = findings.area("store");
    let mut examined = ExaminedStore {
        file: None,
        app: None,
        unread: None,
        settings: Settings::default(),
    };
    match location {
        Location::File(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            examined.file = Some(path.clone());
            file(&mut area, &mut examined, &path, world, depth);
        }
        Location::Postgres(_) => match opened(&mut area, location, world, depth) {
            Opened::Whole(store) => examined.app = Some(App::new(store, world)),
            Opened::Unusable | Opened::Foreign => examined.unread = area.last_trouble(),
        },
    }
    if let Some(app) = &mut examined.app {
        match app.settings() {
            Ok(settings) => examined.settings = settings,
            Err(error) => {
                area.error("settings", &error);
                examined.app = None;
                examined.unread = area.last_trouble();
            }
        }
    }
    examined
}

fn file(area: &mut Area, examined: &mut ExaminedStore, path: &Path, world: World, depth: Depth) {
    let location = &Location::from(path);
    let named = path.display().to_string();
    let file = match fs::metadata(path) {
        Ok(file) if file.is_file() => file,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            area.cannot_tell("file", &format!("{named}: {error}"));
            examined.unread = area.last_trouble();
            return;
        }
        _ => {
            let error = Store::open_within(location, Access::Look, PATIENCE).err();
            let error = error.unwrap_or_else(|| Error::StoreMissing(location.into()));
            area.error("file", &error);
            examined.unread = area.last_trouble();
            return;
        }
    };
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let log = StoreLog::of(&real, &file);
    if log.is_left() && !access::is_root() && geteuid().as_raw() != file.uid() {
        // Reading it creates an index of the log, which would belong to this user.
        let found = format!("{named} has a log that a crashed process left behind");
        area.cannot_tell("file", &found);
    } else if may_access(path, AccessFlags::R_OK).is_ok() {
        match opened(area, location, world, depth) {
            Opened::Whole(store) => examined.app = Some(App::new(store, world)),
            Opened::Unusable => {}
            // It is not smtpcred's, so its owner and mode do not matter.
            Opened::Foreign => {
                examined.unread = area.last_trouble();
                return;
            }
        }
    } else {
        area.cannot_tell("file", &format!("{named} is {}", described(&file)));
    }
    if examined.app.is_none() {
        examined.unread = area.last_trouble();
    }
    mode(area, path, &real, &file);
    owner(area, &real, &file, &log);
    space(area, &real);
    log.judge(area);
}

enum Opened {
    Whole(Store),
    Unusable,
    Foreign,
}

fn opened(area: &mut Area, location: &Location, world: World, depth: Depth) -> Opened {
    let named = location.to_string();
    let mut store = match Store::open_within(location, Access::Look, PATIENCE) {
        Ok(store) => store,
        Err(error @ Error::StoreDamaged { .. }) => {
            area.error("integrity", &error);
            return Opened::Unusable;
        }
        Err(error @ Error::StoreUnreachable { .. }) if !access::is_root() => {
            area.cannot_tell("file", &error.to_string());
            return Opened::Unusable;
        }
        Err(error) => {
            area.error("file", &error);
            return match error {
                Error::StoreForeign { .. }
                | Error::StoreMissing(_)
                | Error::StoreNotUnique { .. } => Opened::Foreign,
                _ => Opened::Unusable,
            };
        }
    };
    area.ok("file", &named);
    super::replicas::examine(area, &store.servers());
    let whole = match store.check(depth.time) {
        Ok(read @ (Integrity::Whole | Integrity::Unfinished)) => {
            users(area, &mut store, world, depth, read == Integrity::Whole);
            true
        }
        Ok(Integrity::Damaged(reason)) => {
            let found = format!("it is damaged: {reason}");
            let store = location.into();
            let damaged = Error::StoreDamaged { store, reason };
            area.fail("integrity", &found, &damaged.hint().unwrap_or_default());
            false
        }
        Err(error) => {
            area.error("integrity", &error);
            false
        }
    };
    let fits = schema(area, &mut store);
    if whole && fits {
        super::usage_sums::examine(area, &mut store, world, depth);
        super::history::examine(area, &mut store, depth);
        Opened::Whole(store)
    } else {
        Opened::Unusable
    }
}

/// Checks that sign-in can use the records of each user. The file itself is intact.
fn users(area: &mut Area, store: &mut Store, world: World, depth: Depth, all_read: bool) {
    let fits = store
        .schema()
        .is_ok_and(|schema| schema.found == schema.known);
    let mut parts = Vec::new();
    if !all_read {
        parts.push("part of the tables".to_owned());
    }
    if fits {
        let scan = depth.scan(store, world);
        let every = scan.as_ref().map_or(1, UserScan::every);
        let readable = scan.and_then(|scan| check_readable(store, scan, (world.now)(), depth.time));
        match readable {
            Ok(ReadabilityCheck {
                first: None,
                in_time: true,
                ..
            }) => {
                if every > 1 {
                    parts.push(format!("1 of {every} users"));
                }
            }
            Ok(ReadabilityCheck { first: None, .. }) => parts.push("some of the users".to_owned()),
            Ok(ReadabilityCheck {
                first: Some(error),
                others,
                ..
            }) => {
                let also = match others {
                    0 => String::new(),
                    others if every > 1 => {
                        format!("; also affected, estimated from 1 of {every} users: {others}")
                    }
                    others => format!("; also affected: {}", count(others, "user")),
                };
                area.fail(
                    "integrity",
                    &format!("{error}{also}"),
                    &error.hint().unwrap_or_default(),
                );
                return;
            }
            Err(error) => return area.error("integrity", &error),
        }
    }
    let found = if parts.is_empty() {
        "intact".to_owned()
    } else {
        let parts = parts.join(" and ");
        format!("intact, judging by {parts}; to read all of it: {ALL_OF_IT}")
    };
    area.ok("integrity", &found);
}

fn schema(area: &mut Area, store: &mut Store) -> bool {
    let schema = match store.schema() {
        Ok(schema) => schema,
        Err(error) => {
            area.error("schema", &error);
            return false;
        }
    };
    let (found, known) = (schema.found, schema.known);
    match found.cmp(&known) {
        Ordering::Greater => area.fail(
            "schema",
            &format!("{found}, from a newer smtpcred; this program supports {known}"),
            "upgrade this program",
        ),
        Ordering::Less => area.warn(
            "schema",
            &format!("{found}, from an older smtpcred; this program migrates it to {known}"),
            "run any other command once, such as: smtpcred domain list",
        ),
        Ordering::Equal => return tables(area, store, found),
    }
    found == known
}

/// Reports objects of the database, such as triggers, that were added or are missing.
fn tables(area: &mut Area, store: &mut Store, found: i64) -> bool {
    let (added, missing) = match (store.added(), store.missing()) {
        (Ok(added), Ok(missing)) => (added, missing),
        (Err(error), _) | (_, Err(error)) => {
            area.error("schema", &error);
            return false;
        }
    };
    if !missing.is_empty() {
        let triggers = missing.iter().all(|name| name.starts_with("the trigger"));
        let advice = if triggers {
            "as the owner of the database, enable it: ALTER TABLE … ENABLE TRIGGER …"
        } else {
            "as the owner of the database, create smtpcred_audit again: smtpcred store migrate; \
             then grant auditors their role again: smtpcred store grant"
        };
        area.fail(
            "schema",
            &format!(
                "{found}, without {}, which limits what roles may do",
                missing.join(", ")
            ),
            advice,
        );
    } else if added.is_empty() {
        area.ok("schema", &found.to_string());
    } else {
        area.warn(
            "schema",
            &format!(
                "{found}, with {}, which smtpcred did not create",
                added.join(", ")
            ),
            "find out where it comes from, then drop it",
        );
    }
    match store.missing_indexes() {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => area.warn(
            "indexes",
            &format!(
                "missing or unfinished: {}; the events of one name are found slowly",
                missing.join(", ")
            ),
            "the owner of the tables creates them with: smtpcred store migrate",
        ),
        Err(error) => area.error("indexes", &error),
    }
    true
}

fn mode(area: &mut Area, path: &Path, real: &Path, file: &Metadata) {
    const OTHERS_WRITE: u32 = 0o002;
    const OTHERS_READ: u32 = 0o004;
    let named = quoted(path);
    let mode = file.mode() & 0o7777;
    let folder_mode =
        |folder: &Path| fs::metadata(folder).map_or(0, |folder| folder.mode() & 0o7777);
    // The owner of the store's folder is trusted.
    let owner = real.parent().and_then(|folder| fs::metadata(folder).ok());
    let owner = owner.map_or(file.uid(), |folder| folder.uid());
    let holes = match holes(path, &[0, file.uid(), owner]) {
        Ok(holes) => holes,
        Err(error) => {
            area.cannot_tell("mode", &format!("{named}: {error}"));
            return;
        }
    };
    let everybody = |hole: &&Hole| hole.writer == WriterKind::Everybody && !hole.only_beside;
    if mode & OTHERS_WRITE != 0 {
        area.fail(
            "mode",
            &format!("{mode:04o}: everyone can write to it, so smtpcred refuses to use it"),
            &format!("chmod o-rwx {named}"),
        );
    } else if let Some(hole) = holes.iter().find(everybody) {
        area.fail("mode", &hole.said(), &hole.cure());
    } else if let Some(hole) = holes.first() {
        area.warn(
            "mode",
            &format!(
                "{}: root does not run the deliveries in this store",
                hole.said()
            ),
            &hole.cure(),
        );
    } else if mode & OTHERS_READ != 0 {
        area.warn(
            "mode",
            &format!("{mode:04o}: everyone on this machine can read the hashes"),
            &format!("chmod o-rwx {named}"),
        );
    } else {
        area.ok(
            "mode",
            &format!(
                "{mode:04o}, in a folder with {:04o}",
                real.parent().map_or(0, folder_mode)
            ),
        );
    }
}

/// Checks owners: the owner of the file must be able to write its log next to it.
fn owner(area: &mut Area, real: &Path, file: &Metadata, log: &StoreLog) {
    let name = access::user(file.uid());
    let Some(folder) = real.parent() else {
        return;
    };
    let folder_owner = fs::metadata(folder).map_or(file.uid(), |folder| folder.uid());
    let mut wrong = None;
    if folder_owner != 0 && folder_owner != file.uid() {
        let owner = access::user(folder_owner);
        wrong = Some((
            format!("{name}, but its folder belongs to {owner}"),
            format!("chown {owner}: {}*", quoted(real)),
        ));
    }
    if let Some((beside, owner)) = log.files.iter().find(|(_, owner)| *owner != file.uid()) {
        let owner = access::user(*owner);
        wrong.get_or_insert((
            format!("{name}, but {} belongs to {owner}", beside.display()),
            format!("chown {name}: {}", quoted(beside)),
        ));
    }
    if wrong.is_none()
        && let Some(who) = Identity::named(&name)
        && let Ok(Some(closed)) = who.kept_from_making(folder)
    {
        wrong = Some((
            format!("{name}, who cannot create files next to it: {closed}"),
            format!("chown {name}: {0} && chmod u+rwx {0}", quoted(folder)),
        ));
    }
    match wrong {
        None => area.ok("owner", &name),
        Some((found, advice)) => area.fail("owner", &found, &advice),
    }
}

fn space(area: &mut Area, real: &Path) {
    let Some(found) = real.parent().and_then(|folder| statvfs(folder).ok()) else {
        return;
    };
    // The types differ between systems.
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
    let free = u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size()));
    let no_inodes = found.files() > 0 && found.files_available() == 0;
    let on = file_system(real).map_or_else(String::new, |name| format!(" on {name}"));
    let said = format!("{} free{on}", size(free));
    let advice = "free some space: on a full disk no sign-in is counted and no change \
                  can be made";
    if no_inodes {
        area.fail("space", &format!("no inodes are free{on}"), advice);
    } else if free < LEAST_SPACE {
        area.fail("space", &said, advice);
    } else if free < LITTLE_SPACE {
        area.warn("space", &said, advice);
    } else {
        area.ok("space", &said);
    }
}
