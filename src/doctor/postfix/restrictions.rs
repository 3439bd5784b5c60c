//! Lists of restrictions (<https://www.postfix.org/SMTPD_ACCESS_README.html>).

/// Splits a list into words; braces hold one word together.
pub fn words(list: &str) -> Vec<&str> {
    split(list, |c| c == ',' || c.is_ascii_whitespace())
}

/// Splits a line of master.cf into words; commas do not end them.
pub fn words_of_line(line: &str) -> Vec<&str> {
    split(line, |c| c.is_ascii_whitespace())
}

fn split(list: &str, is_end: impl Fn(char) -> bool) -> Vec<&str> {
    let mut words = Vec::new();
    let mut begun = None;
    let mut depth = 0_u32;
    for (at, c) in list.char_indices() {
        let ends = depth == 0 && is_end(c);
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match begun {
            Some(from) if ends => {
                words.push(&list[from..at]);
                begun = None;
            }
            None if !ends => begun = Some(at),
            _ => {}
        }
    }
    words.extend(begun.map(|from| &list[from..]));
    words
}

/// A policy service in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct PolicyService<'a> {
    /// `unix:smtpcred/policy`
    pub name: &'a str,
    /// What the list says to do if it does not answer.
    pub default_action: Option<&'a str>,
    /// Earlier restrictions that accept mail without asking it.
    pub skipped_by: Vec<&'a str>,
    /// Its answer counts, and is not only logged.
    pub enforced: bool,
}

impl PolicyService<'_> {
    /// Returns whether it has this name, with `unix:` or without.
    pub fn is(&self, name: &str) -> bool {
        let bare = |name: &str| name.strip_prefix("unix:").unwrap_or(name).to_owned();
        bare(self.name) == bare(name)
    }
}

/// Returns the name of a restriction in lower case, as Postfix ignores its case; other words
/// stay as they are.
pub fn plain(word: &str) -> String {
    const BEGIN: [&str; 4] = ["permit", "reject", "defer", "check_"];
    let lower = word.to_ascii_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = BEGIN.iter().any(|begin| lower.starts_with(begin));
    if (begins || lower == "warn_if_reject") && lower.chars().all(is_name) {
        return lower;
    }
    word.to_owned()
}

/// Returns the restriction that rejects users who have signed in before another permits
/// them.
pub fn ends_for_users(list: &str) -> Option<&str> {
    const ENDS: [&str; 4] = [
        "reject",
        "defer",
        "reject_unauth_destination",
        "defer_unauth_destination",
    ];
    let words = words(list);
    let mut before = None;
    for word in words {
        if PERMITS.contains(&word) {
            return None;
        }
        if ENDS.contains(&word) && before != Some("warn_if_reject") {
            return Some(word);
        }
        before = Some(word);
    }
    None
}

/// The restrictions that permit users who have signed in.
pub const PERMITS: [&str; 2] = ["permit_sasl_authenticated", "permit"];

/// Returns the policy services of a list, in order.
pub fn services(list: &str) -> Vec<PolicyService<'_>> {
    let words = words(list);
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if *word != "check_policy_service" {
            continue;
        }
        let Some(service) = words.get(at + 1) else {
            continue;
        };
        let inner = service.trim_start_matches('{').trim_end_matches('}');
        let mut parts = inner
            .split([',', ' ', '\t'])
            .filter(|part| !part.is_empty());
        let name = parts.next().unwrap_or_default();
        let action = inner.split_once("default_action");
        let action = action.map(|(_, rest)| rest.trim_start_matches([' ', '=']));
        let permits = |word: &&&str| **word == "permit" || word.starts_with("permit_");
        found.push(PolicyService {
            name,
            default_action: action.and_then(|rest| rest.split([',', ' ', '}']).next()),
            enforced: at == 0 || words[at - 1] != "warn_if_reject",
            skipped_by: words[..at].iter().filter(permits).copied().collect(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_hold_words_together() {
        assert_eq!(words(" a,b  { c, d=e } ,f"), ["a", "b", "{ c, d=e }", "f"]);
        assert_eq!(words(""), Vec::<&str>::new());
        // Whatever stands there.
        assert_eq!(words("} {{ a"), ["}", "{{ a"]);
    }

    #[test]
    fn services_of_both_forms() {
        let list = "permit_mynetworks, check_policy_service { unix:smtpcred/policy, \
                    default_action = DUNNO }, check_policy_service inet:127.0.0.1:10040 permit";
        let found = services(list);
        assert_eq!(found[0].name, "unix:smtpcred/policy");
        assert_eq!(found[0].default_action, Some("DUNNO"));
        assert_eq!(found[0].skipped_by, ["permit_mynetworks"]);
        assert_eq!(found[1].name, "inet:127.0.0.1:10040");
        assert_eq!(found[1].default_action, None);
        assert_eq!(found.len(), 2);
        assert!(found[0].is("smtpcred/policy") && !found[0].is("unix:smtpcred/policy-off"));
        assert!(found[0].enforced);
        assert!(!services("warn_if_reject check_policy_service unix:a")[0].enforced);
    }

    #[test]
    fn lists_that_end() {
        for (list, end) in [
            ("", None),
            (
                "check_policy_service unix:a, permit_sasl_authenticated, reject",
                None,
            ),
            (
                "check_policy_service unix:a, reject_unauth_destination",
                Some("reject_unauth_destination"),
            ),
            ("permit_mynetworks, reject", Some("reject")),
            ("warn_if_reject reject", None),
            ("permit, reject", None),
            ("reject_unknown_client_hostname", None),
        ] {
            assert_eq!(ends_for_users(list), end, "{list}");
        }
        for (word, same) in [
            ("REJECT", "reject"),
            ("Check_Policy_Service", "check_policy_service"),
            ("unix:Smtpcred/Policy", "unix:Smtpcred/Policy"),
            ("WARN_IF_REJECT", "warn_if_reject"),
        ] {
            assert_eq!(plain(word), same);
        }
    }
}
