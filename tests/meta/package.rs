//! The Debian package under test, and the machines that it is installed on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::booted::{Machine, say};
use crate::support::mail::tls::Certificate;
use crate::support::{self, finished};

pub const USER: &str = "shop@example.com";

/// Boots this release, with both packages in /tmp; says why where that cannot be.
pub fn booted(release: &str, what: &str) -> Option<Machine> {
    let skipped = |reason: &str| {
        say(&format!("SKIPPED: {what} on Debian {release}: {reason}"));
        None
    };
    if is_built_for_later(release) {
        return skipped("the program was built on a later release, whose glibc it needs");
    }
    match Machine::boot(release) {
        Ok(machine) => {
            let [old, new] = packages();
            machine.put(old, "/tmp/old.deb");
            machine.put(new, "/tmp/new.deb");
            Some(machine)
        }
        Err(reason) => skipped(&reason),
    }
}

/// Whether this machine's Debian is a later one.
fn is_built_for_later(release: &str) -> bool {
    let number = if release == "bookworm" { 12 } else { 13 };
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let ours = system
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_ID="))
        .and_then(|version| version.trim_matches('"').parse::<u32>().ok());
    system.contains("ID=debian") && ours.is_some_and(|ours| ours > number)
}

/// Two versions of the package with the program under test: the same program gives the
/// same package.
pub fn packages() -> &'static [PathBuf; 2] {
    static PACKAGES: OnceLock<(TempDir, [PathBuf; 2])> = OnceLock::new();
    let built = PACKAGES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let [old, again, new] =
            [("old", "1.0"), ("again", "1.0"), ("new", "1.1")].map(|(name, version)| {
                let out = folder.path().join(name);
                let run =
                    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/package/build"))
                        .args([
                            "deb",
                            "--fast",
                            "--program",
                            support::PROGRAM,
                            "--version",
                            version,
                            "--out",
                        ])
                        .arg(&out)
                        .output();
                let run = finished(run.expect("a script"));
                assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
                let mut packages = fs::read_dir(&out).unwrap().map(|file| file.unwrap().path());
                packages
                    .find(|file| file.extension().is_some_and(|end| end == "deb"))
                    .expect("a package")
            });
        assert_eq!(fs::read(&old).unwrap(), fs::read(again).unwrap());
        (folder, [old, new])
    });
    &built.1
}

/// A relay as it was before: Postfix with a certificate, and what it sends goes nowhere.
pub fn with_postfix(machine: &Machine) -> Certificate {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new(folder.path());
    machine.put(&certificate.file, "/etc/ssl/certs/relay.pem");
    machine.put(&certificate.key, "/etc/ssl/private/relay.key");
    machine.run(
        "chmod 600 /etc/ssl/private/relay.key
         postconf -e default_transport=discard: maillog_file=/var/log/postfix.log \
             'smtpd_tls_chain_files=/etc/ssl/private/relay.key /etc/ssl/certs/relay.pem'
         systemctl restart postfix",
    );
    certificate
}

pub fn apt(machine: &Machine, what: &str) {
    machine.run(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get -y -qq --allow-downgrades {what} 2>&1"
    ));
}

pub fn swaks(password: &str, port: u16) -> String {
    let tls = if port == 465 {
        "--tls-on-connect"
    } else {
        "--tls"
    };
    format!(
        "swaks --server 127.0.0.1:{port} {tls} --auth PLAIN --auth-user {USER} \
         --auth-password {password} --from {USER} --to you@example.org 2>&1"
    )
}

pub fn sends(machine: &Machine, password: &str, port: u16) {
    let said = machine.run(&swaks(password, port));
    // As Postfix says it, and as Exim.
    let accepted = ["queued as", "250 OK id="];
    assert!(accepted.iter().any(|one| said.contains(one)), "{said}");
}
