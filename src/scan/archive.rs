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
        Read::take(&mut *input, HEAD as u64).read_to_end(&mut head)?;
        let packing = packing(&head).filter(|_| depth < DEEPEST);
        let mut whole = Cursor::new(head).chain(input);
        match packing {
            None => {
                let found = &mut self.found;
                self.content.search(&mut whole, &mut |hit| found(name, hit))
            }
            Some(Packing::Gzip) => {
                let unpacked = self.unpacked(MultiGzDecoder::new(whole));
                self.open(
                    &mut BufReader::with_capacity(BUFFER, unpacked),
                    name,
                    depth + 1,
                )
            }
            Some(Packing::Zip) => self.zip(&mut whole, name, depth + 1),
            Some(Packing::Tar) => self.tar(&mut whole, name, depth + 1),
        }
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
