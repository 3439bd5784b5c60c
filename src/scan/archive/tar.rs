//! The members of a tar file.

use std::io::{self, BufRead, Read as _};

const BLOCK: usize = 512;
/// The size, as octal digits or in binary.
const SIZE: std::ops::Range<usize> = 124..136;
const KIND: usize = 156;
/// The most that is read of a long name, in bytes.
const LONGEST_NAME: u64 = 64 * 1024;

/// A member, whose bytes follow.
pub struct TarEntry {
    /// Its name.
    pub name: String,
    /// How many bytes follow.
    pub size: u64,
}

/// Reads one member after the other.
#[derive(Default)]
pub struct TarEntries {
    /// Said before the member, because they are too long for its head.
    name: Option<String>,
    size: Option<u64>,
}

impl TarEntries {
    /// Reads up to the bytes of the next member. Returns `None` after the last one.
    pub fn next(&mut self, input: &mut dyn BufRead) -> io::Result<Option<TarEntry>> {
        loop {
            let mut head = [0; BLOCK];
            if input.fill_buf()?.is_empty() {
                return Ok(None);
            }
            input.read_exact(&mut head)?;
            if head == [0; BLOCK] {
                return Ok(None);
            }
            let size =
                number(&head[SIZE]).ok_or_else(|| io::Error::other("the tar file is damaged"))?;
            match head[KIND] {
                b'L' => {
                    let name = text(input, size)?;
                    self.name = Some(until_zero(&name));
                }
                b'x' => {
                    let fields = text(input, size)?;
                    self.name = field(&fields, b"path")
                        .map(|path| String::from_utf8_lossy(path).into_owned());
                    let size = field(&fields, b"size");
                    self.size = size.and_then(|size| str::from_utf8(size).ok()?.parse().ok());
                }
                // The target of a link, and what is said about all.
                b'K' | b'g' => drop(text(input, size)?),
                // Links, devices and folders have no bytes.
                b'1'..=b'6' => {
                    self.name = None;
                    self.size = None;
                }
                kind => {
                    if kind == b'S' {
                        skip_map(input, &head)?;
                    }
                    return Ok(Some(TarEntry {
                        name: self.name.take().unwrap_or_else(|| name(&head)),
                        size: self.size.take().unwrap_or(size),
                    }));
                }
            }
        }
    }
}

/// Skips up to the next block.
pub fn skip_padding(input: &mut dyn BufRead, size: u64) -> io::Result<()> {
    let block = BLOCK as u64;
    let padding = (block - size % block) % block;
    io::copy(&mut input.take(padding), &mut io::sink()).map(drop)
}

fn text(input: &mut dyn BufRead, size: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut whole = input.take(size);
    (&mut whole).take(LONGEST_NAME).read_to_end(&mut text)?;
    io::copy(&mut whole, &mut io::sink())?;
    skip_padding(input, size)?;
    Ok(text)
}

/// Where the data of a sparse file is.
fn skip_map(input: &mut dyn BufRead, head: &[u8; BLOCK]) -> io::Result<()> {
    let mut goes_on = head[482] != 0;
    while goes_on {
        let mut block = [0; BLOCK];
        input.read_exact(&mut block)?;
        goes_on = block[504] != 0;
    }
    Ok(())
}

fn name(head: &[u8; BLOCK]) -> String {
    let name = until_zero(&head[..100]);
    let prefix = until_zero(&head[345..500]);
    // GNU tar has times at the place of the prefix.
    let is_posix = head[257..263] == *b"ustar\0";
    if prefix.is_empty() || !is_posix {
        return name;
    }
    format!("{prefix}/{name}")
}

fn until_zero(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let number = field[4..].iter();
        return Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)));
    }
    let digits = str::from_utf8(field).ok()?;
    let digits = digits.trim_matches(|c| c == ' ' || c == '\0');
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

/// Returns a value of lines such as `30 path=folder/name`.
fn field<'a>(fields: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let lines = fields.split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        line[at + 1..].strip_prefix(key)?.strip_prefix(b"=")
    });
    values.next()
}
