//! Running something as a user who is not root, where the tests are run by it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
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

/// The program where nobody may look into: as it was built, or from this folder.
pub fn program_in(folder: &Path) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_smtpcred"));
    let is_open = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 1 != 0;
    if built.ancestors().all(is_open) {
        return built.to_owned();
    }
    let program = folder.join("smtpcred");
    if !program.exists() && fs::hard_link(built, &program).is_err() {
        // Not by this process: another test that starts a program meanwhile would hold
        // the copy open, and what is being written cannot be run.
        let copied = Command::new("cp").arg(built).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    program
}
