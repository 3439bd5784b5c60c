//! Files of variables, as shells, systemd, Docker and dotenv read them. A file on whose
//! value these readers would disagree is refused: replacing part of a value would break it.

use std::io;
use std::ops::Range;

use zeroize::Zeroizing;

/// Returns the positions of a variable's values, in order. Fails if the file is not text or
/// its readers would disagree.
pub fn values(text: &[u8], name: &str) -> io::Result<Vec<Range<usize>>> {
    if text.contains(&0) {
        return Err(io::Error::other("it is not a text file"));
    }
    let mut reader = EnvReader {
        text,
        name: name.as_bytes(),
        at: 0,
        values: Vec::new(),
        ambiguous: false,
    };
    if text.starts_with("\u{feff}".as_bytes()) {
        reader.at = 3;
    }
    while reader.at < text.len() {
        reader.statement()?;
    }
    Ok(reader.values)
}

/// Returns the file with this value in all places, or with the variable appended. The value
/// must need no quotes. Fails as [`values`] does.
pub fn with_variable(before: &[u8], name: &str, value: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let values = values(before, name)?;
    // The buffer must not grow: that would leave copies.
    let room = before.len() + (values.len() + 1) * value.len() + name.len() + 5;
    let mut after = Zeroizing::new(Vec::with_capacity(room));
    let mut kept = 0;
    for range in &values {
        after.extend_from_slice(&before[kept..range.start]);
        after.extend_from_slice(value.as_bytes());
        kept = range.end;
    }
    after.extend_from_slice(&before[kept..]);
    if values.is_empty() {
        let newline: &[u8] = if before.ends_with(b"\r\n") {
            b"\r\n"
        } else {
            b"\n"
        };
        if after.last().is_some_and(|byte| *byte != b'\n') {
            after.extend_from_slice(newline);
        }
        after.extend_from_slice(name.as_bytes());
        after.push(b'=');
        after.extend_from_slice(value.as_bytes());
        after.extend_from_slice(newline);
    }
    Ok(after)
}

/// Strips blanks and a pair of quotes around a value.
pub fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        _ => value,
    }
}

struct EnvReader<'a> {
    text: &'a [u8],
    name: &'a [u8],
    at: usize,
    values: Vec<Range<usize>>,
    /// A quote before this position may open a value of several lines, or be a
    /// literal quote.
    ambiguous: bool,
}

/// Text up to a blank or the end of its line.
struct EnvWord {
    end: usize,
    /// A shell would not read it as one word.
    shell: bool,
}

impl EnvReader<'_> {
    /// Reads one line, or as many as its quotes and backslashes join.
    fn statement(&mut self) -> io::Result<()> {
        self.at = self.after_blanks(self.at);
        match self.text.get(self.at) {
            Some(b'#' | b';') => {
                self.at = self.next_line(self.at);
                return Ok(());
            }
            Some(b'\n') | None => {
                self.at += 1;
                return Ok(());
            }
            Some(_) => {}
        }
        let Some((own, start)) = self.assignment() else {
            return self.rest();
        };
        if own && self.ambiguous {
            return Err(self.unclear(self.at));
        }
        let begin = self.after_blanks(start);
        // A comment in place of a value.
        if begin > start && self.text.get(begin) == Some(&b'#') {
            if own {
                self.values.push(start..start);
            }
            self.at = self.next_line(begin);
            return Ok(());
        }
        let word = self.word(begin)?;
        let behind = self.after_blanks(word.end);
        let is_all = match self.text.get(behind) {
            Some(b'#') => behind > word.end,
            Some(byte) => *byte == b'\n',
            None => true,
        };
        if !own {
            self.at = word.end;
            return self.rest();
        }
        if word.shell || !is_all || self.ambiguous {
            return Err(self.unclear(begin));
        }
        self.values.push(begin..word.end);
        self.at = self.next_line(behind);
        Ok(())
    }

    /// Returns where the value begins, and whether it is this variable's.
    fn assignment(&self) -> Option<(bool, usize)> {
        let mut at = self.at;
        if let Some(rest) = self.text[at..].strip_prefix(b"export")
            && rest.first().copied().is_some_and(is_blank)
        {
            at = self.after_blanks(at + b"export".len());
        }
        let length = self.text[at..]
            .iter()
            .take_while(|byte| is_name(**byte))
            .count();
        let name = &self.text[at..at + length];
        let equals = self.after_blanks(at + length);
        let assigns = length > 0 && self.text.get(equals) == Some(&b'=');
        assigns.then(|| (name == self.name, equals + 1))
    }

    /// Skips to the end of the line: the rest of a command, or what follows a value.
    fn rest(&mut self) -> io::Result<()> {
        loop {
            let blanks = self.after_blanks(self.at);
            match self.text.get(blanks) {
                None | Some(b'\n') => {
                    self.at = blanks + 1;
                    return Ok(());
                }
                Some(b'#') if blanks > self.at => {
                    self.at = self.next_line(blanks);
                    return Ok(());
                }
                Some(_) => {
                    self.refuse_own_at(blanks)?;
                    self.at = self.word(blanks)?.end;
                }
            }
        }
    }

    fn word(&mut self, start: usize) -> io::Result<EnvWord> {
        let mut at = start;
        let mut shell = false;
        while let Some(byte) = self.text.get(at) {
            match byte {
                b'\n' => break,
                _ if is_blank(*byte) => break,
                b'\r' if matches!(self.text.get(at + 1), None | Some(b'\n')) => break,
                b'\\' => {
                    let line_end = self.text[at + 1..].starts_with(b"\r\n");
                    at += if line_end { 3 } else { 2 };
                    if self.text.get(at - 1) == Some(&b'\n') {
                        self.refuse_own_at(at)?;
                    }
                }
                b'"' | b'\'' => at = self.after_quote(at, at == start)?,
                b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'`' => {
                    shell = true;
                    at += 1;
                    self.refuse_own_at(at)?;
                }
                _ => at += 1,
            }
        }
        let end = at.min(self.text.len());
        Ok(EnvWord { end, shell })
    }

    /// Returns the position after the closing quote. If no quote closes on the same
    /// line, all readers agree only if it opens a value.
    fn after_quote(&mut self, open: usize, opens_value: bool) -> io::Result<usize> {
        let quote = self.text[open];
        let mut at = open + 1;
        while let Some(byte) = self.text.get(at) {
            if *byte == quote {
                let within = &self.text[open..at];
                if !within.contains(&b'\n') {
                    return Ok(at + 1);
                }
                if !opens_value {
                    break;
                }
                if self.seems_own(open + 1..at) {
                    return Err(self.unclear(open));
                }
                return Ok(at + 1);
            }
            at += if *byte == b'\\' && quote == b'"' {
                2
            } else {
                1
            };
        }
        self.ambiguous = true;
        Ok(open + 1)
    }

    /// Whether a line in this range looks as if it set the variable.
    fn seems_own(&self, range: Range<usize>) -> bool {
        let lines = self.text[range].split(|byte| *byte == b'\n').skip(1);
        lines.map(<[u8]>::trim_ascii_start).any(|line| {
            let line = line
                .strip_prefix(b"export ")
                .unwrap_or(line)
                .trim_ascii_start();
            line.strip_prefix(self.name)
                .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
        })
    }

    /// Refuses a place where only some readers would see the variable set.
    fn refuse_own_at(&self, at: usize) -> io::Result<()> {
        let own = self
            .text
            .get(at..)
            .unwrap_or_default()
            .strip_prefix(self.name);
        match own.map(|rest| rest.strip_prefix(b"+").unwrap_or(rest)) {
            Some([b'=', ..]) => Err(self.unclear(at)),
            _ => Ok(()),
        }
    }

    fn unclear(&self, at: usize) -> io::Error {
        let line = self.text[..at].split(|byte| *byte == b'\n').count();
        let name = String::from_utf8_lossy(self.name);
        io::Error::other(format!(
            "line {line} does not set {name} unambiguously: \
             put {name}=value on a line of its own"
        ))
    }

    fn after_blanks(&self, mut at: usize) -> usize {
        loop {
            match self.text.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] | [b'\r'] => return at + 1,
                [byte, ..] if is_blank(*byte) => at += 1,
                _ => return at,
            }
        }
    }

    fn next_line(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        length.map_or(self.text.len(), |length| at + length + 1)
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(before: &str) -> Result<String, String> {
        let text = with_variable(before.as_bytes(), "P", "new");
        let text = text.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn the_whole_value_changes_and_nothing_else() {
        for (before, expected) in [
            ("", "P=new\n"),
            ("A=1", "A=1\nP=new\n"),
            ("A=1\r\n", "A=1\r\nP=new\r\n"),
            (
                "# P=x\nA=1\nP='old one'\n\nPQ=2\n",
                "# P=x\nA=1\nP=new\n\nPQ=2\n",
            ),
            ("  export P=old\nP=again", "  export P=new\nP=new"),
            ("exportP=1\n", "exportP=1\nP=new\n"),
            ("P=\"one\ntwo\"\nA=1\n", "P=new\nA=1\n"),
            ("P='one\n\ntwo' # why\nA=1\n", "P=new # why\nA=1\n"),
            ("P=old # why\n", "P=new # why\n"),
            ("P=old#no-comment\n", "P=new\n"),
            ("P = old\nA=1\n", "P = new\nA=1\n"),
            ("P =\"old\"\n", "P =new\n"),
            ("export\tP=\n", "export\tP=new\n"),
            ("P= # none\n", "P=new # none\n"),
            ("P=old\r\nA=1\r\n", "P=new\r\nA=1\r\n"),
            ("P=one\\\ntwo\nA=1\n", "P=new\nA=1\n"),
            ("P='it'\\''s'\n", "P=new\n"),
            ("P=\"a\\\"b\"\n", "P=new\n"),
            ("P=$'a b'\n", "P=new\n"),
            ("\u{feff}P=old\n", "\u{feff}P=new\n"),
            ("URL=x?P=1&b=2\n", "URL=x?P=1&b=2\nP=new\n"),
            (
                "KEY='-----\nabc\n-----'\nP=old\n",
                "KEY='-----\nabc\n-----'\nP=new\n",
            ),
            ("# it's\nP=old\n", "# it's\nP=new\n"),
            ("MOTD=it's\nA=1\n", "MOTD=it's\nA=1\nP=new\n"),
            ("echo \"$P\"\nP=old\n", "echo \"$P\"\nP=new\n"),
            ("A=1 \\\nB=2\nP=old\n", "A=1 \\\nB=2\nP=new\n"),
        ] {
            assert_eq!(after(before).as_deref(), Ok(expected), "{before:?}");
        }
    }

    #[test]
    fn a_file_that_readers_disagree_on_is_refused() {
        for before in [
            "P=two words\n",
            "P=old; export P\n",
            "P=$(cat file)\n",
            "P=`cat file`\n",
            "P='never closed\nA=1\n",
            "MOTD=it's\nP=old\n",
            "KEY='a\nP=1\nb'\n",
            "readonly P=old\n",
            "A=1 P=old\n",
            "A=1;P=old\n",
            "P+=old\n",
            "P\0=old\n",
            "A=1 \\\nP=old\n",
            "P=\"a\"; echo\n",
        ] {
            assert!(after(before).is_err(), "{before:?}: {:?}", after(before));
        }
        let error = after("A=1\nP=two words\n").unwrap_err();
        assert!(error.starts_with("line 2 "), "{error}");
    }
}
