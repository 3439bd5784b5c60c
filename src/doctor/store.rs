//! The store: is it there, is it whole, and may those who need it use it?

use std::cmp::Ordering;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access as may_access, geteuid};

use super::access::{self, Who, described};
use super::advice;
use super::findings::{Area, Findings, quoted};
use super::log::Log;
use crate::app::{App, World};
use crate::error::Error;
use crate::model::settings::Settings;
use crate::store::{Access, Integrity, Location, Store};

/// What the other examinations need of it.
pub struct Examined {
    /// Nothing where it is a database.
    pub file: Option<PathBuf>,
    /// Nothing where it cannot be read, or not by this program.
    pub app: Option<App>,
    /// Those of a new store where its own are not known.
    pub settings: Settings,
}

/// For a lock of others.
const PATIENCE: Duration = Duration::from_secs(5);
/// For reading all of it. On a slow disk a GiB takes as long.
const READING: Duration = Duration::from_secs(60);
/// In bytes. A log, and what SQLite needs to empty it, has to fit.
const LEAST_SPACE: u64 = 16 << 20;
const LITTLE_SPACE: u64 = 200 << 20;

pub fn examine(findings: &mut Findings, location: &Location, world: World) -> Examined {
    let mut area = findings.area("store");
    let mut examined = Examined {
        file: None,
        app: None,
        settings: Settings::default(),
    };
    match location {
        Location::File(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            examined.file = Some(path.clone());
            file(&mut area, &mut examined, &path, world);
        }
        Location::Postgres(_) => {
            if let Opened::Whole(store) = opened(&mut area, location) {
                examined.app = Some(App::new(store, world));
            }
        }
    }
    if let Some(app) = &mut examined.app {
        match app.settings() {
            Ok(settings) => examined.settings = settings,
            Err(error) => {
                area.fail("settings", &error.to_string(), &advice(&error));
                examined.app = None;
            }
        }
    }
    examined
}

fn file(area: &mut Area, examined: &mut Examined, path: &Path, world: World) {
    let location = &Location::from(path);
    let named = path.display().to_string();
    let file = match fs::metadata(path) {
        Ok(file) if file.is_file() => file,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            area.cannot_tell("file", &format!("{named}: {error}"));
            return;
        }
        _ => {
            let error = Store::open_within(location, Access::Look, PATIENCE).err();
            let error = error.unwrap_or_else(|| Error::StoreMissing(location.into()));
            area.fail("file", &error.to_string(), &advice(&error));
            return;
        }
    };
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let log = Log::of(&real, &file);
    if log.is_left() && !access::is_root() && geteuid().as_raw() != file.uid() {
        // Reading it makes an index of the log, which would be ours and stay.
        let found = format!("{named} has a log that somebody left behind");
        area.cannot_tell("file", &found);
    } else if may_access(path, AccessFlags::R_OK).is_ok() {
        match opened(area, location) {
            Opened::Whole(store) => examined.app = Some(App::new(store, world)),
            Opened::Unusable => {}
            // Its owner and its mode are no business of ours.
            Opened::Foreign => return,
        }
    } else {
        area.cannot_tell("file", &format!("{named} is {}", described(&file)));
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

fn opened(area: &mut Area, location: &Location) -> Opened {
    let named = location.to_string();
    let mut store = match Store::open_within(location, Access::Look, PATIENCE) {
        Ok(store) => store,
        Err(error @ Error::StoreDamaged { .. }) => {
            area.fail("integrity", &error.to_string(), &advice(&error));
            return Opened::Unusable;
        }
        Err(error @ Error::StoreUnreachable { .. }) if !access::is_root() => {
            area.cannot_tell("file", &error.to_string());
            return Opened::Unusable;
        }
        Err(error) => {
            area.fail("file", &error.to_string(), &advice(&error));
            return match error {
                Error::StoreForeign { .. } | Error::StoreMissing(_) => Opened::Foreign,
                _ => Opened::Unusable,
            };
        }
    };
    area.ok("file", &named);
    let whole = match store.check(READING) {
        Ok(Integrity::Whole) => {
            area.ok("integrity", "whole");
            true
        }
        Ok(Integrity::Damaged(reason)) => {
            area.fail(
                "integrity",
                &format!("it is damaged: {reason}"),
                "restore the store from a backup, and check the disk",
            );
            false
        }
        Ok(Integrity::Unfinished) => {
            area.warn(
                "integrity",
                &format!("not all was read in {} s", READING.as_secs()),
                "is the disk slow, or the store very large?",
            );
            true
        }
        Err(error) => {
            area.fail("integrity", &error.to_string(), &advice(&error));
            false
        }
    };
    let fits = schema(area, &mut store);
    if whole && fits {
        Opened::Whole(store)
    } else {
        Opened::Unusable
    }
}

fn schema(area: &mut Area, store: &mut Store) -> bool {
    let schema = match store.schema() {
        Ok(schema) => schema,
        Err(error) => {
            area.fail("schema", &error.to_string(), &advice(&error));
            return false;
        }
    };
    let (found, known) = (schema.found, schema.known);
    match found.cmp(&known) {
        Ordering::Greater => area.fail(
            "schema",
            &format!("{found}, of a newer smtpcred; this program knows {known}"),
            "upgrade this program",
        ),
        Ordering::Less => area.warn(
            "schema",
            &format!("{found}, of an older smtpcred; this program brings it to {known}"),
            "run any other command once, such as: smtpcred domain list",
        ),
        Ordering::Equal => area.ok("schema", &found.to_string()),
    }
    found == known
}

fn mode(area: &mut Area, path: &Path, real: &Path, file: &Metadata) {
    const OTHERS_WRITE: u32 = 0o002;
    const OTHERS_READ: u32 = 0o004;
    const STICKY: u32 = 0o1000;
    let named = quoted(path);
    let mode = file.mode() & 0o7777;
    let folder_mode =
        |folder: &Path| fs::metadata(folder).map_or(0, |folder| folder.mode() & 0o7777);
    let is_open = |mode: u32| mode & OTHERS_WRITE != 0 && mode & STICKY == 0;
    // Whoever may rename any folder on the way has it replaced, or a link to it.
    let mut folders = real.ancestors().skip(1).chain(path.ancestors().skip(1));
    let open = folders.find(|folder| is_open(folder_mode(folder)));
    if mode & OTHERS_WRITE != 0 {
        area.fail(
            "mode",
            &format!("{mode:04o}: everybody can write it, and nothing uses such a store"),
            &format!("chmod o-rwx {named}"),
        );
    } else if let Some(open) = open {
        area.fail(
            "mode",
            &format!(
                "everybody can replace files in {} ({:04o})",
                open.display(),
                folder_mode(open)
            ),
            &format!("chmod o-w {}", quoted(open)),
        );
    } else if mode & OTHERS_READ != 0 {
        area.warn(
            "mode",
            &format!("{mode:04o}: everybody on this machine can read the hashes"),
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

/// Who owns the file writes its log, too, which SQLite makes beside it.
fn owner(area: &mut Area, real: &Path, file: &Metadata, log: &Log) {
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
        && let Some(who) = Who::named(&name)
        && let Ok(Some(closed)) = who.kept_from_making(folder)
    {
        wrong = Some((
            format!("{name}, who cannot make files beside it: {closed}"),
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
    // Their types differ from system to system.
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
    let free = u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size()));
    let no_inodes = found.files() > 0 && found.files_available() == 0;
    let said = format!("{} free", size(free));
    let advice = "free some space: a full disk stops sign-ins from being counted and changes \
                  from being made";
    if no_inodes {
        area.fail("space", "no inodes are free", advice);
    } else if free < LEAST_SPACE {
        area.fail("space", &said, advice);
    } else if free < LITTLE_SPACE {
        area.warn("space", &said, advice);
    } else {
        area.ok("space", &said);
    }
}

pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B"),
        10_000..=9_999_999 => format!("{} KiB", bytes >> 10),
        10_000_000..=99_999_999_999 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
