//! Lists of restrictions as a service of master.cf has them: with our policy service first,
//! and with users permitted before others are rejected. Macros stay as they are. Pure.

use crate::doctor::postfix::restrictions::{plain, words, words_of_line};

/// Returns the restriction that asks our policy service.
pub fn ask(policy: &str) -> String {
    format!("check_policy_service {{ unix:{policy}, default_action=DEFER }}")
}

/// Returns the list with our policy service first, and nowhere else. Those of other programs
/// stay.
pub fn with_policy(list: &str, policy: &str) -> String {
    let mut words = words(list).into_iter().peekable();
    let mut all = vec![ask(policy)];
    while let Some(word) = words.next() {
        match plain(word).as_str() {
            "warn_if_reject"
                if words.peek().map(|next| plain(next)).as_deref()
                    == Some("check_policy_service") =>
            {
                // Decided with the word that follows.
                let check = words.next().unwrap_or_default();
                let service = words.next().unwrap_or_default();
                if !service.contains("smtpcred") {
                    all.push(format!("{word} {check} {service}"));
                }
            }
            "check_policy_service" => {
                let service = words.next().unwrap_or_default();
                if !service.contains("smtpcred") {
                    all.push(format!("{word} {service}"));
                }
            }
            _ => all.push(word.to_owned()),
        }
    }
    all.join(", ")
}

/// Returns the list with `permit_sasl_authenticated` before this restriction; `None` if it is
/// not in the list itself.
pub fn with_permit_before(list: &str, end: &str) -> Option<String> {
    let words = words(list);
    let at = words.iter().position(|word| plain(word) == end)?;
    let mut all: Vec<&str> = words;
    all.insert(at, "permit_sasl_authenticated");
    Some(all.join(", "))
}

/// Returns the value without white space, as `postconf -P` needs it; `None` if white space is
/// part of it.
pub fn tight(value: &str) -> Option<String> {
    let words: Option<Vec<String>> = words(value).into_iter().map(tight_word).collect();
    words.map(|words| words.join(","))
}

fn tight_word(word: &str) -> Option<String> {
    if !word.contains(char::is_whitespace) {
        return Some(word.to_owned());
    }
    let inner = word.strip_prefix('{')?.strip_suffix('}')?;
    if inner.contains(['{', '}']) {
        return None;
    }
    let parts: Option<Vec<String>> = inner
        .split(',')
        .map(|part| {
            let part = match part.split_once('=') {
                Some((name, value)) => format!("{}={}", name.trim(), value.trim()),
                None => part.trim().to_owned(),
            };
            (!part.contains(char::is_whitespace)).then_some(part)
        })
        .collect();
    Some(format!("{{{}}}", parts?.join(",")))
}

/// Returns a service's line with these options of it, in place of those of the same name.
pub fn with_options(line: &str, options: &[(String, String)]) -> String {
    let mut left: Vec<_> = options.iter().collect();
    let mut all = Vec::new();
    let mut parts = words_of_line(line).into_iter();
    while let Some(part) = parts.next() {
        let argument = if part == "-o" { parts.next() } else { None };
        let Some(argument) = argument else {
            all.push(part.to_owned());
            continue;
        };
        let bare = argument.trim_start_matches('{').trim_start();
        let name = bare.split('=').next().unwrap_or_default().trim();
        match left.iter().position(|(wanted, _)| wanted == name) {
            Some(at) => {
                let (name, value) = left.remove(at);
                all.extend(["-o".to_owned(), option(name, value)]);
            }
            // A second one of the same name.
            None if options.iter().any(|(wanted, _)| wanted == name) => {}
            None => all.extend(["-o".to_owned(), argument.to_owned()]),
        }
    }
    for (name, value) in left {
        all.extend(["-o".to_owned(), option(name, value)]);
    }
    all.join(" ")
}

/// Returns the argument of `-o`.
pub fn option(name: &str, value: &str) -> String {
    if value.contains(char::is_whitespace) {
        format!("{{{name}={value}}}")
    } else {
        format!("{name}={value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "check_policy_service { unix:smtpcred/policy, default_action=DEFER }";

    #[test]
    fn our_policy_service_comes_first_and_others_stay() {
        for (list, rest) in [
            ("", ""),
            (
                "permit_sasl_authenticated,reject",
                ", permit_sasl_authenticated, reject",
            ),
            (
                "permit_mynetworks, check_policy_service inet:127.0.0.1:10023, reject",
                ", permit_mynetworks, check_policy_service inet:127.0.0.1:10023, reject",
            ),
            (
                "reject check_policy_service unix:smtpcred/policy",
                ", reject",
            ),
            (
                "warn_if_reject check_policy_service { unix:smtpcred/policy, default_action=OK } $more",
                ", $more",
            ),
            (
                "warn_if_reject check_policy_service unix:private/spf, warn_if_reject reject",
                ", warn_if_reject check_policy_service unix:private/spf, warn_if_reject, reject",
            ),
        ] {
            assert_eq!(
                with_policy(list, "smtpcred/policy"),
                format!("{OURS}{rest}"),
                "{list}"
            );
        }
    }

    #[test]
    fn users_are_permitted_before_others_are_rejected() {
        assert_eq!(
            with_permit_before("permit_mynetworks REJECT", "reject").as_deref(),
            Some("permit_mynetworks, permit_sasl_authenticated, REJECT")
        );
        assert_eq!(with_permit_before("$mua", "reject"), None);
    }

    #[test]
    fn white_space_goes_where_it_is_no_part() {
        for (value, short) in [
            ("a, b  c", Some("a,b,c")),
            (
                "check_policy_service { unix:a, default_action = DEFER }, $b",
                Some("check_policy_service,{unix:a,default_action=DEFER},$b"),
            ),
            ("check_client_access inline:{ {a = b c} }", None),
            ("{ inline:{a=b} }", None),
            ("", Some("")),
        ] {
            assert_eq!(tight(value).as_deref(), short, "{value}");
        }
    }

    #[test]
    fn options_replace_those_of_the_same_name() {
        let line = "submission inet n - y - - smtpd -v -o a=1 -o { b = 2 3 } -o a=4 -o c=5";
        let options = [("a", "x y"), ("b", "z"), ("d", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            with_options(line, &options),
            "submission inet n - y - - smtpd -v -o {a=x y} -o b=z -o c=5 -o d="
        );
    }
}
