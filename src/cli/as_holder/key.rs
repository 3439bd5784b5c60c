//! The key that the holder signed in with, as sshd tells with `ExposeAuthInfo yes`: a file
//! whose lines are methods, such as `publickey ssh-ed25519 AAAA…` (`sshd_config(5)`).

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::files;

/// The largest file, in bytes: a certificate has thousands.
const MOST: u64 = 64 * 1024;

/// Returns its fingerprint, as `ssh-keygen -l` has it; `None` if sshd does not tell.
pub fn of_session() -> Option<String> {
    let path = std::env::var_os("SSH_USER_AUTH")?;
    let mut text = String::new();
    let file = files::open(Path::new(&path)).ok()?;
    file.take(MOST).read_to_string(&mut text).ok()?;
    fingerprint(&text)
}

/// Returns the fingerprint of the last key: it comes after other methods.
fn fingerprint(text: &str) -> Option<String> {
    let key = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let key = (words.next()? == "publickey").then(|| words.nth(1))??;
        let blob = STANDARD.decode(key).ok()?;
        let digest = STANDARD_NO_PAD.encode(Sha256::digest(blob));
        Some(format!("SHA256:{digest}"))
    };
    text.lines().filter_map(key).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_one_of_ssh_keygen() {
        // ssh-keygen -lf of this key.
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let found = fingerprint(&format!("password\npublickey {key}\n")).unwrap();
        assert_eq!(found, "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
        for none in [
            "",
            "password",
            "publickey",
            "publickey ssh-rsa",
            "publickey ssh-rsa ?",
        ] {
            assert_eq!(fingerprint(none), None, "{none}");
        }
    }
}
