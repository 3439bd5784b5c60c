//! Debian's files for Exim: many small ones, or one template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::names::by_hand;
use crate::error::Result;
use crate::files::Folder;
use crate::setup::content::{FileChange, content, failed};
use crate::setup::refusal::refused;

const SETTINGS: &str = "update-exim4.conf.conf";
const TEMPLATE: &str = "exim4.conf.template";
const MACROS: &str = "exim4.conf.localmacros";
const SECTIONS: [&str; 7] = [
    "main",
    "acl",
    "router",
    "transport",
    "retry",
    "rewrite",
    "auth",
];
/// Setup's own files: after macros, and before what uses them; after `begin`.
const OWN: [&str; 3] = [
    "conf.d/main/01_smtpcred",
    "conf.d/acl/10_smtpcred",
    "conf.d/auth/10_smtpcred",
];
const BEGIN: &str = "# By `smtpcred setup exim`: begin";
const END: &str = "# By `smtpcred setup exim`: end";

/// Files by their names in Debian's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    split: bool,
}

impl Layout {
    /// Reads what is there.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut read = |name: String| -> Result<()> {
            if let Some(bytes) = content(&folder.join(&name))? {
                files.insert(name, bytes);
            }
            Ok(())
        };
        read(SETTINGS.into())?;
        read(TEMPLATE.into())?;
        read(MACROS.into())?;
        for section in SECTIONS {
            let at = folder.join("conf.d").join(section);
            let Ok(opened) = Folder::open(&at) else {
                continue;
            };
            let names = opened.names().map_err(|error| failed(&at, &error))?;
            let names = names.iter().filter_map(|name| name.to_str());
            for name in names.filter(|name| is_part(name)) {
                read(format!("conf.d/{section}/{name}"))?;
            }
        }
        Self::of(folder, files)
    }

    /// Returns the layout of these files.
    pub fn of(folder: &Path, files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let unknown = |what: String| refused(what, by_hand());
        let settings = files
            .get(SETTINGS)
            .map(|bytes| String::from_utf8_lossy(bytes));
        let Some(settings) = settings else {
            return Err(unknown(format!(
                "{} does not exist",
                folder.join(SETTINGS).display()
            )));
        };
        let mut values = settings
            .lines()
            .filter_map(|line| line.trim().strip_prefix("dc_use_split_config="));
        let value = values.next_back().unwrap_or_default();
        let value = value.trim_matches(|sign| sign == '\'' || sign == '"');
        let split = match value.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" | "" => false,
            _ => return Err(unknown(format!("dc_use_split_config is {value:?}"))),
        };
        Ok(Self {
            folder: folder.to_owned(),
            files,
            split,
        })
    }

    /// Returns the files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.files.iter();
        all.map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// Returns it without what setup has added.
    pub fn bare(&self) -> Result<Self> {
        let mut bare = self.clone();
        for name in OWN {
            bare.files.remove(name);
        }
        if let Some(text) = self.template()? {
            let mut inside = false;
            let mut kept = String::new();
            for line in text.split_inclusive('\n') {
                inside |= line.trim_end() == BEGIN;
                if !inside {
                    kept += line;
                }
                inside &= line.trim_end() != END;
            }
            bare.files.insert(TEMPLATE.into(), kept.into_bytes());
        }
        Ok(bare)
    }

    /// Returns it with these additions.
    pub fn with(&self, blocks: &Blocks) -> Result<Self> {
        let mut with = self.clone();
        let texts = [&blocks.main, &blocks.acl, &blocks.authenticators];
        if self.split {
            for (name, text) in OWN.into_iter().zip(texts) {
                let text = format!("# By `smtpcred setup exim`.\n{text}");
                with.files.insert(name.into(), text.into_bytes());
            }
            return Ok(with);
        }
        let Some(text) = self.template()? else {
            return Err(refused(
                format!("{} does not exist", self.folder.join(TEMPLATE).display()),
                by_hand(),
            ));
        };
        let block = |text: &str| format!("{BEGIN}\n{text}{END}\n");
        let mut text = format!("{}{text}", block(&blocks.main));
        for (section, added) in [
            ("begin acl", &blocks.acl),
            ("begin authenticators", &blocks.authenticators),
        ] {
            text = after_line(&text, section, &block(added)).ok_or_else(|| {
                refused(
                    format!("{TEMPLATE} has not one line `{section}`"),
                    by_hand(),
                )
            })?;
        }
        with.files.insert(TEMPLATE.into(), text.into_bytes());
        Ok(with)
    }

    fn template(&self) -> Result<Option<&str>> {
        let Some(bytes) = self.files.get(TEMPLATE).filter(|_| !self.split) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| refused(format!("{TEMPLATE} is not UTF-8"), by_hand()))?;
        Ok(Some(text))
    }

    /// Returns the changes that lead to another one.
    pub fn changes(&self, after: &Self) -> Vec<FileChange> {
        let mut names: Vec<&String> = self.files.keys().chain(after.files.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let change = |name: &String| FileChange {
            path: self.folder.join(name),
            before: self.files.get(name).cloned(),
            after: after.files.get(name).cloned(),
        };
        let changes = names.into_iter().map(change);
        changes.filter(|one| one.before != one.after).collect()
    }
}

/// Returns whether Debian reads a file of this name. A file `NAME.rul` replaces NAME.
fn is_part(name: &str) -> bool {
    let name = name.strip_suffix(".rul").unwrap_or(name);
    let allowed = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    !name.is_empty() && name.chars().all(allowed)
}

/// Adds a text after the only line that is `wanted`.
fn after_line(text: &str, wanted: &str, added: &str) -> Option<String> {
    let mut result = String::new();
    let mut found = 0;
    for line in text.split_inclusive('\n') {
        result += line;
        if line.trim() == wanted && line.ends_with('\n') {
            found += 1;
            result += added;
        }
    }
    (found == 1).then_some(result)
}
