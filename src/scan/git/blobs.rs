//! Reads the objects of a repository.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::command::{Git, explained};

/// How many objects are asked for at once: their names fit into a pipe, so that writing them
/// never waits for an answer that is not read yet.
pub const BLOCK: usize = 64;
/// After this many objects that git cannot read, the repository is given up.
const MOST_FAILURES: usize = 100;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// The content of a file.
    Blob,
    /// A commit with its message.
    Commit,
    /// A tag with its message.
    Tag,
}

impl ObjectKind {
    /// Folders have only names.
    fn of(name: &str) -> Option<Self> {
        match name {
            "blob" => Some(Self::Blob),
            "commit" => Some(Self::Commit),
            "tag" => Some(Self::Tag),
            _ => None,
        }
    }
}

/// Passes the name of every object to the callback, and to `damaged` what git cannot read of it.
/// Returns what git says if it fails.
pub fn objects(
    git: &Git,
    each: &mut dyn FnMut(String),
    damaged: &mut dyn FnMut(String),
) -> Result<(), String> {
    let list = [
        "cat-file",
        "--batch-all-objects",
        "--unordered",
        "--batch-check=%(objecttype) %(objectname)",
    ];
    let failed = |error: io::Error| error.to_string();
    let mut child = git.command(&list).spawn().map_err(failed)?;
    let stderr = said(&mut child);
    let stdout = child.stdout.take().ok_or_else(String::new)?;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(failed)?;
        match line.split_once(' ') {
            Some((object, "missing")) => damaged(format!("object {object} cannot be read")),
            Some((kind, object)) if ObjectKind::of(kind).is_some() => each(object.to_owned()),
            _ => {}
        }
    }
    let stderr = stderr.map(|it| it.join().unwrap_or_default());
    match child.wait() {
        Ok(status) if status.success() => {}
        _ => return Err(explained(&stderr.unwrap_or_default())),
    }
    // What is not there at all, or in a pack that cannot be opened, is not listed.
    let whole = git.ask(&["rev-list", "--all", "--objects", "--quiet"]);
    whole
        .map(drop)
        .map_err(|why| format!("not all objects are there: {why}"))
}

type Said = std::thread::JoinHandle<Vec<u8>>;

/// Reads what it says beside, so that it never waits for that.
fn said(child: &mut Child) -> Option<Said> {
    const MOST: u64 = 64 * 1024;
    let mut stderr = child.stderr.take()?;
    Some(std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = (&mut stderr).take(MOST).read_to_end(&mut said);
        let _ = io::copy(&mut stderr, &mut io::sink());
        said
    }))
}

/// A process that reads objects, and is started anew when one of them makes it fail.
pub struct Blobs<'a> {
    git: &'a Git,
    running: Option<Running>,
    problems: Vec<String>,
    failures: usize,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    said: Option<Said>,
}

type OnObject<'a> = dyn FnMut(&str, ObjectKind, &mut dyn Read) -> io::Result<()> + 'a;

impl<'a> Blobs<'a> {
    /// Starts nothing yet.
    pub const fn new(git: &'a Git) -> Self {
        Self {
            git,
            running: None,
            problems: Vec::new(),
            failures: 0,
        }
    }

    /// Returns what could not be read since the last call.
    pub fn problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    /// Passes the bytes of these objects to the callback.
    pub fn read_each(&mut self, objects: &[String], each: &mut OnObject) {
        let mut left = objects;
        while !left.is_empty() && self.failures < MOST_FAILURES {
            let mut done = 0;
            let read = self.read_some(left, &mut done, each);
            let Err(error) = read else {
                return;
            };
            let said = self.running.take().map(Running::end).unwrap_or_default();
            let why = if said.is_empty() {
                error.to_string()
            } else {
                explained(&said)
            };
            let object = left.get(done).map_or("", String::as_str);
            self.problems
                .push(format!("object {object} cannot be read: {why}"));
            self.failures += 1;
            if self.failures == MOST_FAILURES {
                let stops = "too many objects cannot be read: the rest was not searched";
                self.problems.push(stops.to_owned());
            }
            left = left.get(done + 1..).unwrap_or_default();
        }
    }

    fn read_some(
        &mut self,
        objects: &[String],
        done: &mut usize,
        each: &mut OnObject,
    ) -> io::Result<()> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(Running::start(self.git)?),
        };
        let asked: String = objects.iter().flat_map(|object| [object, "\n"]).collect();
        running.stdin.write_all(asked.as_bytes())?;
        for object in objects {
            let (kind, size) = running.answer()?;
            let mut bytes = (&mut running.stdout).take(size);
            if let Some(kind) = kind {
                each(object, kind, &mut bytes)?;
            }
            io::copy(&mut bytes, &mut io::sink())?;
            if bytes.limit() > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            running.stdout.read_exact(&mut [0])?;
            *done += 1;
        }
        Ok(())
    }
}

impl Running {
    fn start(git: &Git) -> io::Result<Self> {
        let mut command = git.command(&["cat-file", "--batch=%(objecttype) %(objectsize)"]);
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let said = said(&mut child);
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::with_capacity(64 * 1024, stdout),
            said,
        })
    }

    /// Reads what the next object is, and its size.
    fn answer(&mut self) -> io::Result<(Option<ObjectKind>, u64)> {
        const LONGEST: u64 = 1024;
        let mut line = String::new();
        (&mut self.stdout).take(LONGEST).read_line(&mut line)?;
        let (kind, size) = line
            .trim_end()
            .split_once(' ')
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = size
            .parse()
            .map_err(|_| io::Error::other("it is missing"))?;
        Ok((ObjectKind::of(kind), size))
    }

    fn end(mut self) -> Vec<u8> {
        drop(self.stdin);
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.said
            .map(|it| it.join().unwrap_or_default())
            .unwrap_or_default()
    }
}

impl Drop for Blobs<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }
}
