//! Finds the known word that an unknown one was meant to be.

/// A word has at most one of each pair; swapping it for the other reverses the
/// meaning.
const OPPOSITES: [(&str, &str); 12] = [
    ("add", "remove"),
    ("after", "before"),
    ("allow", "deny"),
    ("enable", "disable"),
    ("export", "import"),
    ("grant", "revoke"),
    ("max", "min"),
    ("new", "old"),
    ("off", "on"),
    ("resume", "suspend"),
    ("since", "until"),
    ("with", "without"),
];

/// Returns the word that differs only by a typing error. Returns none if two are
/// equally close, or if the meaning may be the opposite: `unsuspend` is not
/// `suspend`.
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = if typed.chars().count() < 6 { 1 } else { 2 };
    let mut near: Vec<(usize, &str)> = words
        .into_iter()
        .map(|word| (strsim::osa_distance(typed, word), word))
        .filter(|(distance, word)| *distance <= most && !may_be_opposite(typed, word))
        .collect();
    near.sort_unstable();
    near.dedup();
    match near.as_slice() {
        [(least, _), (next, _), ..] if least == next => None,
        [(_, word), ..] => Some(word),
        [] => None,
    }
}

fn may_be_opposite(one: &str, other: &str) -> bool {
    if one == other {
        return false;
    }
    // These look like other words but have a meaning of their own.
    if ["rename", "restore", "revive", "return"].contains(&one) {
        return true;
    }
    // "un", "dis", "no-", "never-" and the like come before a word.
    if one.ends_with(other) || other.ends_with(one) {
        return true;
    }
    let parts = |word: &str, of: &str| word.split('-').any(|part| part == of);
    OPPOSITES
        .iter()
        .any(|(a, b)| parts(one, a) && parts(other, b) || parts(one, b) && parts(other, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_corrected_and_opposites_never_offered() {
        let words = [
            "suspend",
            "resume",
            "reset",
            "delete",
            "disallow",
            "import",
            "export",
            "verify",
            "overlap",
            "overlap-max",
            "with-hashes",
            "store",
            "never-used",
            "limit",
        ];
        for (typed, meant) in [
            ("suspned", Some("suspend")),
            ("resum", Some("resume")),
            ("delte", Some("delete")),
            ("exprot", Some("export")),
            ("over-lap", Some("overlap")),
            ("unsuspend", None),
            ("undelete", None),
            ("unverify", None),
            ("remove", None),
            ("restore", None),
            ("allow", None),
            ("used", None),
            ("no-limit", None),
            ("overlap-min", None),
            ("without-hashes", None),
            ("sort", None),
            ("xyz", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
        assert_eq!(nearest("mport", ["import", "export"]), None);
    }
}
