//! Paths as people write them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::text::quoted;
use crate::error::{Error, Result};

/// Refuses a path that begins with `~/` or `~NAME/`: only a shell expands that,
/// outside of quotes and at the beginning of a word. Used literally it would be a
/// folder called `~`.
pub fn given(path: impl AsRef<OsStr>) -> Result<PathBuf> {
    let path = Path::new(path.as_ref());
    if !begins_with_home(path) {
        return Ok(path.to_owned());
    }
    let text = path.to_string_lossy();
    Err(Error::Usage(format!(
        "{}: only a shell expands ~, and not in quotes or after =; write the full path, \
         or ./{} if a folder has that name",
        quoted(&text),
        super::text::escaped(&text)
    )))
}

/// Returns whether a shell would replace the beginning by a home folder.
pub fn begins_with_home(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let Some(rest) = text.strip_prefix(b"~") else {
        return false;
    };
    let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
    // A file called ~name is no home; ~ alone is one.
    (rest.len() > name.len() || rest.is_empty()) && name.iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_that_only_a_shell_expands_are_refused() {
        for path in ["~", "~/", "~/x", "~ana/x", "~www-data/a/b"] {
            let error = given(path).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("'{path}': only a shell")),
                "{error}"
            );
        }
        for path in ["", "x", "./~/x", "a/~/b", "x~", "~backup", "/home/~/x"] {
            assert_eq!(given(path).unwrap(), Path::new(path));
        }
    }
}
