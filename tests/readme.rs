//! What the README promises is what the program does.

use std::fs;
use std::path::Path;

use smtpcred::error::Exit;

mod support;
use support::Sandbox;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn it_lists_every_exit_code() {
    for (exit, meaning) in Exit::TABLE {
        let row = format!("| {} | {meaning} |\n", exit as u8);
        assert!(readme().contains(&row), "{row}");
    }
}

#[test]
fn its_main_command_does_the_main_job() {
    let command = readme()
        .lines()
        .find_map(|line| {
            line.strip_prefix("$ cargo run --release -- ")
                .map(str::to_owned)
        })
        .expect("the main command");
    let sandbox = Sandbox::empty();
    let args: Vec<&str> = command.split(' ').collect();
    let password = sandbox.ok(&args);
    assert_eq!(sandbox.verify("shop@example.com", password.trim()), 0);
}

#[test]
fn its_password_has_the_published_form() {
    use smtpcred::model::password::{Look, look};
    let readme = readme();
    let shown = readme
        .lines()
        .find_map(|line| line.trim().strip_prefix("Password   "))
        .expect("the panel");
    assert!(
        matches!(look(shown.as_bytes()), Look::Generated(_)),
        "{shown}"
    );
}
