//! Runs git so that it only reads.

use std::env::{join_paths, var_os};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use crate::error::{Error, Result};
use crate::files::programs::{find_program, program_folders};
use crate::files::tree::{self, TreeStart};

/// What a repository could have git run, and what it could have git fetch. Options of the command
/// line come before every configuration.
const SAFE: [&str; 10] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.alternateRefsCommand=false",
    "core.sshCommand=false",
    "core.gitProxy=",
    "core.pager=cat",
    "core.quotePath=false",
    "diff.external=",
    "log.showSignature=false",
    "protocol.allow=never",
];

/// What the variables of a hook say about the repository.
const OF_HOOK: [&str; 5] = [
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_WORK_TREE",
];

/// The git program, in one repository.
pub struct Git {
    program: PathBuf,
    folder: Option<PathBuf>,
    /// As whom root runs it: the owner of the repository, who then gains nothing by what git runs.
    owner: Option<(u32, u32)>,
}

impl Git {
    /// Finds the program for the repository of this folder, or of the current one.
    pub fn at(folder: Option<&Path>) -> Result<Self> {
        let program = find_program("git", &program_folders())
            .ok_or_else(|| Error::System("git is not installed".to_owned()))?;
        let owner = owner(folder.unwrap_or(Path::new(".")));
        let owner = owner.filter(|owner| Uid::effective().is_root() && !owner.is_root());
        Ok(Self {
            program,
            folder: folder.map(Path::to_owned),
            owner: owner.map(|owner| (owner.as_raw(), group_of(owner))),
        })
    }

    /// Returns a command without standard input, whose other streams are pipes.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("LC_ALL", "C");
        let copied = ["HOME", "XDG_CONFIG_HOME"].iter();
        let of_hook = OF_HOOK.iter().filter(|_| self.folder.is_none());
        for name in copied.chain(of_hook) {
            if let Some(value) = var_os(name) {
                command.env(name, value);
            }
        }
        if let Ok(path) = join_paths(program_folders()) {
            command.env("PATH", path);
        }
        command
            .env("GIT_ALLOW_PROTOCOL", "")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .arg("--no-pager");
        if let Some((user, group)) = self.owner {
            command
                .env_remove("HOME")
                .env_remove("XDG_CONFIG_HOME")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .uid(user)
                .gid(group);
        }
        for option in SAFE {
            command.args(["-c", option]);
        }
        if Uid::effective().is_root() {
            // Root trusts no repository of others, whatever its own configuration says.
            command.args(["-c", "safe.directory="]);
        }
        if let Some(folder) = &self.folder {
            command.arg("-C").arg(folder);
        }
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Returns what it prints, or what it says about its failure.
    pub fn ask(&self, args: &[&str]) -> std::result::Result<Vec<u8>, String> {
        let output = self.command(args).output().map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(explained(&output.stderr))
    }

    /// Returns why the folder is in no repository that git reads.
    pub fn check(&self) -> std::result::Result<(), String> {
        self.ask(&["rev-parse", "--git-dir"]).map(drop)
    }
}

/// Returns what git says, in a line.
pub fn explained(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    if text.contains("dubious ownership") {
        return dubious(Uid::effective().is_root()).to_owned();
    }
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let line = lines.next().unwrap_or("git failed without a message");
    format!(
        "git: {}",
        line.trim_start_matches("fatal: ")
            .trim_start_matches("error: ")
    )
}

/// Returns why git does not read it: it compares the owners of the folder and of what is in it with the
/// user that runs it. Root runs it as the owner of the folder.
const fn dubious(as_root: bool) -> &'static str {
    if as_root {
        "git does not read it, because the folder and its .git belong to different users: run this as the owner of .git"
    } else {
        "git does not read it, because it belongs to another user: run this as its owner, or as root"
    }
}

/// Returns the owner of a folder.
fn owner(folder: &Path) -> Option<Uid> {
    match tree::start(folder) {
        Ok(TreeStart::Folder(folder)) => folder.owner().ok().map(Uid::from_raw),
        _ => None,
    }
}

/// Returns the group of an account. The group of its folder may be one that it is not in: that of
/// root, after `chown` by root.
fn group_of(user: Uid) -> u32 {
    /// The group of no one.
    const NOGROUP: u32 = 65_534;
    let account = User::from_uid(user).ok().flatten();
    account.map_or(NOGROUP, |account| account.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn p14_root_gives_git_no_group_of_the_folder() {
        const NOBODY: u32 = 65_534;
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(NOBODY), Some(0)).unwrap();
        let git = Git::at(Some(folder.path())).unwrap();
        assert_eq!(git.owner, Some((NOBODY, group_of(Uid::from_raw(NOBODY)))));
        assert_ne!(group_of(Uid::from_raw(NOBODY)), 0);
        // There is no such account.
        assert_eq!(group_of(Uid::from_raw(4_000_000_000)), 65_534);
    }
}
