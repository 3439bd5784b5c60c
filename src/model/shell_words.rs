//! A command line as a shell would read it, and the parts that only a shell
//! understands.

use std::path::Path;

use super::path::begins_with_home;

/// A word as written, and its part outside of quotes: quoted characters are replaced
/// by NUL there, which no command line contains.
struct Word<'a> {
    written: &'a str,
    unquoted: String,
}

/// Returns the first word that a shell would treat as an operator, as written: `&&`,
/// `|`, `>file`, `` `date` ``. A program would get it as an argument.
pub fn operator(line: &str) -> Option<&str> {
    let all = words(line);
    let found = all.iter().find(|word| is_operator(&word.unquoted));
    found.map(|word| word.written)
}

/// Returns a variable that a shell would set for the command, as written: `LANG=C tee f`.
pub fn assignment(line: &str) -> Option<&str> {
    let first = words(line).into_iter().next()?;
    let (name, _) = first.unquoted.split_once('=')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = name.bytes().all(is_name) && !name.is_empty();
    (good && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(first.written)
}

/// Returns whether the line refers to a home directory that only a shell would expand.
pub fn is_in_a_home(line: &str) -> bool {
    let all = words(line);
    let mut unquoted = all.iter().map(|word| Path::new(&word.unquoted));
    unquoted.any(begins_with_home)
}

fn is_operator(word: &str) -> bool {
    // `2>` and `&>` redirect like `>`.
    let redirects = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
    let (first, last) = (word.chars().next(), word.chars().next_back());
    redirects.starts_with(['<', '>'])
        || ["&&", "||", "$(", "`"]
            .iter()
            .any(|sign| word.contains(sign))
        || word == "!"
        || first.is_some_and(|c| "|&;(".contains(c))
        || last.is_some_and(|c| "|&;".contains(c))
}

/// Leaves out comments, as shlex and shells do.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut all = Vec::new();
    let mut rest = line.char_indices().peekable();
    while let Some((start, first)) = rest.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        if first == '#' {
            break;
        }
        let (mut unquoted, mut end, mut quote) = (String::new(), start, None);
        let mut next = Some((start, first));
        while let Some((at, c)) = next {
            if quote.is_none() && c.is_ascii_whitespace() {
                break;
            }
            end = at + c.len_utf8();
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), _) if c == open => quote = None,
                (None | Some('"'), '\\') => {
                    unquoted.push('\0');
                    end = rest.next().map_or(end, |(at, c)| at + c.len_utf8());
                }
                (Some(_), _) => unquoted.push('\0'),
                (None, _) => unquoted.push(c),
            }
            next = rest.next();
        }
        all.push(Word {
            written: &line[start..end],
            unquoted,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_found_where_a_shell_would_act_on_them() {
        for (line, found) in [
            ("tee f && systemctl restart shop", "&&"),
            ("tee f || true", "||"),
            ("tee f | mail", "|"),
            ("tee f ; reload", ";"),
            ("tee f; reload", "f;"),
            ("tee f&&reload", "f&&reload"),
            ("cat > /etc/x", ">"),
            ("cat >> /etc/x", ">>"),
            ("cat >/etc/x", ">/etc/x"),
            ("cat < /etc/x", "<"),
            ("cat 2> /dev/null", "2>"),
            ("cat 2>&1", "2>&1"),
            ("cat &> log", "&>"),
            ("cat &", "&"),
            ("tee $(hostname)", "$(hostname)"),
            ("tee x$(hostname)", "x$(hostname)"),
            ("tee `hostname -f`", "`hostname"),
            ("(tee f)", "(tee"),
            ("! tee f", "!"),
            ("tee 'a b' \"c\" && x", "&&"),
        ] {
            assert_eq!(operator(line), Some(found), "{line}");
        }
    }

    #[test]
    fn quoted_text_is_left_to_the_program() {
        for line in [
            "sh -c 'cat > /etc/x && reload; true | false'",
            "sh -c \"cat >> f; echo $(date)\"",
            r"find . -exec put {} \; ",
            r"put a\&\&b \> '|' '&&' \`",
            "curl https://x.example/?a=1&b=2 -H 'Accept: */*'",
            "sed s|a|b|g -e x<y",
            "put $HOME # && what is behind this",
            "",
        ] {
            assert_eq!(operator(line), None, "{line}");
        }
    }

    #[test]
    fn variables_before_the_program_are_seen() {
        assert_eq!(assignment("LANG=C tee f"), Some("LANG=C"));
        assert_eq!(assignment("A='b c' tee f"), Some("A='b c'"));
        for line in [
            "env LANG=C tee f",
            "tee A=1",
            "'A=1' x",
            "./a=b x",
            "=x",
            "1=x",
            "",
        ] {
            assert_eq!(assignment(line), None, "{line}");
        }
    }

    #[test]
    fn homes_are_seen() {
        assert!(is_in_a_home("~/bin/deliver x"));
        assert!(is_in_a_home("tee ~/x"));
        assert!(is_in_a_home("tee ~"));
        assert!(is_in_a_home("tee ~bob/x"));
        for line in ["tee '~/x'", r"tee \~/x", "tee a~/x", "tee ~bob"] {
            assert!(!is_in_a_home(line), "{line}");
        }
    }
}
