//! Searches what is packed: gzip, zip and tar, also in each other. Everything is read as a
//! stream, so that the size of an archive makes no difference to the memory.

mod tar;
mod zip;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::rc::Rc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use self::tar::TarEntries;
use self::zip::{ZipEntry, ZipPacking};
use super::content::{ContentSearch, Hit};
use super::findings::ScanProblem;

/// How deep archives in archives are opened.
const DEEPEST: usize = 6;
/// How much is decompressed at least, however small the archive is.
const FREE: u64 = 256 << 20;
/// How many bytes each byte of an archive may become: backups become about ten, and
/// what only exists to keep others busy a thousand.
const EXPANSION: u64 = 200;
/// Enough to recognise every kind.
const HEAD: usize = 512;
const BUFFER: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zip,
    Tar,
}

/// Returns whether something that begins like this is an archive.
pub fn is_archive(beginning: &[u8]) -> bool {
    packing(beginning).is_some()
}

fn packing(beginning: &[u8]) -> Option<Packing> {
    const DEFLATED: &[u8] = b"\x1f\x8b\x08";
    const ENTRY: &[u8] = b"PK\x03\x04";
    if beginning.starts_with(DEFLATED) {
        Some(Packing::Gzip)
    } else if beginning.starts_with(ENTRY) {
        Some(Packing::Zip)
    } else if beginning.get(257..262) == Some(b"ustar") {
        Some(Packing::Tar)
    } else {
        None
    }
}

/// How much was read, and how much it became.
#[derive(Default)]
struct Budget {
    read: Cell<u64>,
    unpacked: Cell<u64>,
}

impl Budget {
    fn is_spent(&self) -> bool {
        let most = self
            .read
            .get()
            .saturating_mul(EXPANSION)
            .saturating_add(FREE);
        self.unpacked.get() > most
    }
}

/// Searches a stream and what is packed in it.
pub struct Dig<'a> {
    content: ContentSearch<'a>,
    found: &'a mut dyn FnMut(&str, Hit),
    problems: Vec<ScanProblem>,
    budget: Rc<Budget>,
}

impl<'a> Dig<'a> {
    /// Calls `found` with the name of a stream or of a member of it, and what is in it.
    pub fn new(content: ContentSearch<'a>, found: &'a mut dyn FnMut(&str, Hit)) -> Self {
        Self {
            content,
            found,
            problems: Vec::new(),
            budget: Rc::default(),
        }
    }

    /// Searches a stream.
    pub fn search(&mut self, input: &mut dyn BufRead, name: &str) -> io::Result<()> {
        let budget = Rc::clone(&self.budget);
        let mut counted = Counted {
            input,
            count: &budget.read,
        };
        self.open(&mut BufReader::with_capacity(BUFFER, &mut counted), name, 0)
    }

    /// Returns which members could not be read.
    pub fn problems(self) -> Vec<ScanProblem> {
        self.problems
    }

    fn open(&mut self, input: &mut dyn BufRead, name: &str, depth: usize) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD);
        let read = Read::take(&mut *input, HEAD as u64).read_to_end(&mut head);
        if let Err(error) = read {
            self.plain(&mut &*head, name)?;
            return Err(error);
        }
        let packing = packing(&head).filter(|_| depth < DEEPEST);
        let mut whole = Cursor::new(head).chain(input);
        match packing {
            None => self.plain(&mut whole, name),
            Some(Packing::Gzip) => {
                let unpacked = self.unpacked(MultiGzDecoder::new(whole));
                self.open(
                    &mut BufReader::with_capacity(BUFFER, unpacked),
                    name,
                    depth + 1,
                )
            }
            Some(Packing::Zip) => {
                self.zip(&mut whole, name, depth + 1)?;
                self.plain(&mut whole, name)
            }
            Some(Packing::Tar) => {
                self.tar(&mut whole, name, depth + 1)?;
                self.plain(&mut whole, name)
            }
        }
    }

    /// Searches what is not packed, such as what stands after the last member of an archive: a
    /// comment, or another archive.
    fn plain(&mut self, input: &mut dyn Read, name: &str) -> io::Result<()> {
        let found = &mut self.found;
        self.content.search(input, &mut |hit| found(name, hit))
    }

    fn unpacked<R: Read>(&self, input: R) -> Unpacked<R> {
        let budget = Rc::clone(&self.budget);
        Unpacked { input, budget }
    }

    /// Searches a member, and reads it to its end. A problem with it does not affect the next one.
    fn member(&mut self, input: &mut dyn Read, name: &str, depth: usize) -> io::Result<()> {
        let read = self.open(
            &mut BufReader::with_capacity(BUFFER, &mut *input),
            name,
            depth,
        );
        if let Err(error) = read {
            if self.budget.is_spent() {
                return Err(error);
            }
            self.report(name, &error.to_string());
        }
        io::copy(input, &mut io::sink()).map(drop)
    }

    fn report(&mut self, path: &str, reason: &str) {
        self.problems.push(ScanProblem {
            path: path.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Follows the entries from the beginning: the list at the end would need the whole file.
    fn zip(&mut self, input: &mut dyn BufRead, name: &str, depth: usize) -> io::Result<()> {
        while let Some(entry) = ZipEntry::next(input)? {
            let member = format!("{name}!{}", entry.name);
            match (entry.packing, entry.size) {
                (ZipPacking::Stored, Some(size)) => {
                    self.member(&mut input.take(size), &member, depth)?;
                }
                (ZipPacking::Deflated, size) => {
                    let mut packed = Read::take(&mut *input, size.unwrap_or(u64::MAX));
                    let mut unpacked = self.unpacked(DeflateDecoder::new(&mut packed));
                    self.member(&mut unpacked, &member, depth)?;
                    if size.is_some() {
                        io::copy(&mut packed, &mut io::sink())?;
                    }
                }
                (ZipPacking::Other(how), Some(size)) => {
                    self.report(&member, how);
                    io::copy(&mut input.take(size), &mut io::sink())?;
                }
                (ZipPacking::Stored | ZipPacking::Other(_), None) => {
                    return Err(io::Error::other("the size of a member is missing"));
                }
            }
            if entry.has_descriptor {
                zip::skip_descriptor(input)?;
            }
        }
        Ok(())
    }

    fn tar(&mut self, input: &mut dyn BufRead, name: &str, depth: usize) -> io::Result<()> {
        let mut entries = TarEntries::default();
        while let Some(entry) = entries.next(input)? {
            let member = format!("{name}!{}", entry.name);
            self.member(&mut input.take(entry.size), &member, depth)?;
            tar::skip_padding(input, entry.size)?;
        }
        Ok(())
    }
}

/// Counts what is read.
struct Counted<'a> {
    input: &'a mut dyn BufRead,
    count: &'a Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Fails when too much is unpacked.
struct Unpacked<R> {
    input: R,
    budget: Rc<Budget>,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        let unpacked = &self.budget.unpacked;
        unpacked.set(unpacked.get() + read as u64);
        if self.budget.is_spent() {
            return Err(io::Error::other(
                "it unpacks to more than 200 times its size: the rest was not searched",
            ));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::LazyLock;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder};

    use super::*;
    use crate::model::password_search::PasswordSearch;

    const PASSWORD: &str = "smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";

    fn zip(member: &[u8]) -> Vec<u8> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(member).unwrap();
        let packed = packed.finish().unwrap();
        let size = u32::try_from(packed.len()).unwrap().to_le_bytes();
        let head = [
            b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0",
            &size[..],
            b"\0\0\0\0\x01\0\0\0a",
        ];
        [&head.concat(), &*packed, b"PK\x01\x02"].concat()
    }

    fn tar(member: &[u8]) -> Vec<u8> {
        let mut head = [0; 512];
        head[0] = b'b';
        head[124..135].copy_from_slice(format!("{:011o}", member.len()).as_bytes());
        head[156] = b'0';
        head[257..263].copy_from_slice(b"ustar\0");
        let padding = vec![0; (512 - member.len() % 512) % 512 + 1024];
        [&head, member, &padding].concat()
    }

    fn gzip(member: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(member).unwrap();
        packed.finish().unwrap()
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        static SEARCH: LazyLock<PasswordSearch> = LazyLock::new(PasswordSearch::default);
        let search = &*SEARCH;
        let mut names = Vec::new();
        let mut found = |name: &str, _: Hit| names.push(name.to_owned());
        let mut dig = Dig::new(ContentSearch::new(search), &mut found);
        // Damage is an error.
        let _ = dig.search(&mut &*bytes, "f");
        names
    }

    #[test]
    fn archives_in_archives_are_opened_to_a_depth() {
        let plain = PASSWORD.as_bytes();
        assert_eq!(names(&zip(plain)), ["f!a"]);
        assert_eq!(names(&tar(plain)), ["f!b"]);
        assert_eq!(names(&gzip(&tar(&zip(&gzip(plain))))), ["f!b!a"]);
        // So long that it is compressed, and not stored.
        let mut deep = [&[b'x'; 5000], plain].concat();
        for _ in 0..DEEPEST {
            deep = gzip(&deep);
        }
        assert_eq!(names(&deep), ["f"]);
        assert_eq!(names(&gzip(&deep)), [""; 0]);
    }

    #[test]
    fn what_stands_after_the_last_member_is_searched() {
        let plain = PASSWORD.as_bytes();
        for archive in [zip(b"x"), tar(b"x")] {
            let whole = [&archive, plain].concat();
            assert_eq!(names(&whole), ["f"]);
            assert_eq!(names(&gzip(&whole)), ["f"]);
            assert_eq!(names(&tar(&whole)), ["f!b"]);
        }
        assert_eq!(names(&[tar(b"x"), tar(plain)].concat()), ["f"]);
    }

    #[test]
    fn what_was_read_before_damage_is_searched() {
        for length in [0, 300, 5000] {
            let member = [&vec![b'x'; length], PASSWORD.as_bytes()].concat();
            let damaged = [&*gzip(&member), b"garbage"].concat();
            assert_eq!(names(&damaged), ["f"], "{length}");
        }
    }

    #[test]
    fn damage_anywhere_is_no_panic_and_no_endless_work() {
        let whole = [
            zip(PASSWORD.as_bytes()),
            tar(PASSWORD.as_bytes()),
            gzip(PASSWORD.as_bytes()),
        ];
        for whole in whole {
            for at in (0..whole.len().min(600)).step_by(3) {
                names(&whole[..at]);
                for byte in [0, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[at] = byte;
                    names(&damaged);
                }
            }
        }
    }
}
