//! Programs of the system that are run by their names.

use std::env::{split_paths, var_os};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// Returns the folders of PATH and those that systems usually have. Leaves out relative
/// ones: anyone who can write to the current folder could have root run a program.
pub fn program_folders() -> Vec<PathBuf> {
    const USUAL: [&str; 6] = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    let path = var_os("PATH").unwrap_or_default();
    let usual = USUAL.map(PathBuf::from);
    let all = split_paths(&path).filter(|folder| folder.is_absolute());
    all.chain(usual).collect()
}

/// Returns the file of a program in one of these folders.
pub fn find_program(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let runs = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    let mut files = folders.iter().map(|folder| folder.join(program));
    files.find(|file| runs(file))
}
