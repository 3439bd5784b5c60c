//! Whose name stands in an event.

use std::fs;

use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::{Sandbox, finished};

#[test]
#[ignore = "needs root to be somebody else: run tests/run"]
fn p5_nobody_passes_for_another() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.folder.path();
    let own = folder.join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    give_to_nobody(&own);
    let program = program_in(folder);
    let mut command = as_nobody(program.to_str().unwrap());
    let store = own.join("store.db");
    command.args(["domain", "add", "example.com", "-q"]);
    command.envs([("SUDO_USER", "ceo"), ("DOAS_USER", "ceo")]);
    let run = finished(command.env("SMTPCRED_STORE", &store).output().unwrap());
    assert_eq!(run.code, 0, "{run:?}");
    let mut command = sandbox.command(&["audit", "list", "--json"]);
    let run = finished(command.env("SMTPCRED_STORE", &store).output().unwrap());
    let events: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    // Whoever logged in here is named, if anybody did.
    let event = &events[0];
    let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    if login.trim() == u32::MAX.to_string() {
        assert_eq!(event["actor"], "nobody", "{event}");
    }
    assert!(!run.stdout.contains("ceo"), "{event}");
}
