//! What `smtpcred doctor` must not do on the machine that it examines.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

mod support;

use support::Sandbox;

fn program(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whoever may write the folder that root is in would be root.
#[test]
fn no_program_of_the_current_folder_is_run() {
    let sandbox = Sandbox::new();
    let here = sandbox.folder.path();
    fs::create_dir(here.join("bin")).unwrap();
    for name in ["timedatectl", "postconf", "exim4", "exim", "doveconf"] {
        for place in ["", "bin"] {
            program(
                &here.join(place).join(name),
                "#!/bin/sh\necho ran >> \"$0.ran\"\n",
            );
        }
    }
    for path in [
        None,
        Some(""),
        Some(":/usr/bin"),
        Some(".:bin"),
        Some("/usr/bin:"),
    ] {
        let mut command = sandbox.command(&["doctor", "--json", "--port", "1"]);
        match path {
            Some(path) => command.env("PATH", path),
            None => command.env_remove("PATH"),
        };
        support::finished(command.output().unwrap());
        let ran = |file: &str| here.join(format!("{file}.ran")).exists();
        assert!(!ran("timedatectl") && !ran("bin/timedatectl"), "{path:?}");
        assert!(!ran("postconf") && !ran("bin/doveconf"), "{path:?}");
    }
    // By an absolute path, it is.
    let mut command = sandbox.command(&["doctor", "--json", "--port", "1"]);
    command.env("PATH", here.join("bin"));
    support::finished(command.output().unwrap());
    assert!(here.join("bin/timedatectl.ran").exists());
}
