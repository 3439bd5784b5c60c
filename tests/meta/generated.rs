//! `completions/` and `man/` are what the program says today.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{PROGRAM, Sandbox};

fn contents(folder: &Path) -> BTreeMap<String, String> {
    fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn completions_and_man_pages_are_in_step() {
    let sandbox = Sandbox::empty();
    sandbox.ok(&["generate", "."]);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["completions", "man"] {
        let fresh = contents(&sandbox.folder.path().join(folder));
        let mut kept = contents(&committed.join(folder));
        // The pages of section 7 are written by hand.
        kept.retain(|name, _| !name.ends_with(".7"));
        assert!(!fresh.is_empty());
        assert_eq!(
            fresh.keys().collect::<Vec<_>>(),
            kept.keys().collect::<Vec<_>>(),
            "run: cargo run -- generate ."
        );
        for (name, text) in &fresh {
            assert!(
                kept[name] == *text,
                "{folder}/{name} is stale; run: cargo run -- generate ."
            );
        }
    }
}

#[test]
#[ignore = "needs mandoc: run tests/run"]
fn man_pages_are_sound() {
    let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    for name in contents(&man).keys() {
        let lint = Command::new("mandoc")
            .args(["-Tlint", "-Werror"])
            .arg(man.join(name))
            .output()
            .expect("mandoc is installed");
        assert!(
            lint.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&lint.stdout)
        );
    }
}

/// What a shell says when it completes, asked with its own machinery.
fn completed(shell: &str, args: &[&str], sandbox: &Sandbox) -> String {
    let bin = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new(shell)
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("HOME", sandbox.folder.path())
        .env("SMTPCRED_STORE", sandbox.store())
        .env(
            "SCRIPTS",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("completions"),
        )
        .current_dir(sandbox.folder.path())
        .output()
        .unwrap_or_else(|e| panic!("{shell} is installed: {e}"));
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{shell}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn with_users() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    sandbox.create("crm@example.com");
    sandbox
}

#[test]
fn bash_completes_commands_and_users() {
    let sandbox = with_users();
    let script = r#"
        source "$SCRIPTS/smtpcred.bash"
        COMP_WORDS=(smtpcred user reset sh); COMP_CWORD=3; COMP_TYPE=9
        _clap_complete_smtpcred smtpcred sh reset; printf '%s\n' "${COMPREPLY[@]}"
        COMP_WORDS=(smtpcred show-s); COMP_CWORD=1
        _clap_complete_smtpcred smtpcred show-s smtpcred; printf '%s\n' "${COMPREPLY[@]}"
        COMP_WORDS=(smtpcred show-settings --for ph); COMP_CWORD=3
        _clap_complete_smtpcred smtpcred ph --for; printf '%s\n' "${COMPREPLY[@]}""#;
    let said = completed("bash", &["--norc", "-c", script], &sandbox);
    assert_eq!(
        said.split_whitespace().collect::<Vec<_>>(),
        [
            "shop@example.com",
            "show-settings",
            "show-server-config",
            "phpmailer"
        ]
    );
}

#[test]
#[ignore = "needs fish: run tests/run"]
fn fish_completes_commands_and_users() {
    let sandbox = with_users();
    let script = r#"source "$SCRIPTS/smtpcred.fish"; complete -C "smtpcred user reset sh""#;
    let said = completed("fish", &["--no-config", "-c", script], &sandbox);
    assert_eq!(said.split_whitespace().next(), Some("shop@example.com"));
}

#[test]
#[ignore = "needs zsh: run tests/run"]
fn zsh_loads_the_completion() {
    let sandbox = with_users();
    let script = r#"
        fpath=("$SCRIPTS" $fpath); autoload -Uz compinit; compinit -u -d "$HOME/zcompdump"
        print -r -- $_comps[smtpcred]; autoload +X _smtpcred && print loaded"#;
    let said = completed("zsh", &["-f", "-c", script], &sandbox);
    assert!(
        said.contains("_smtpcred") || said.contains("_clap"),
        "{said}"
    );
    assert!(said.contains("loaded"), "{said}");
}
