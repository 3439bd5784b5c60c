//! Running something as a user who is not root, where the tests are run by it.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

pub fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.args(["--", program]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command
}

pub fn give_to_nobody(path: &Path) {
    if geteuid().is_root() {
        let nobody = User::from_name("nobody").unwrap().unwrap();
        chown(path, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    }
}
