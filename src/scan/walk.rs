//! Searches all files below a folder, with several threads.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::archive::{Dig, is_archive};
use super::content::ContentSearch;
use super::findings::{Collector, ScanProblem};
use crate::files::holes::WithoutHoles;
use crate::files::tree::{self, TreeFolder, TreeKind, TreeStart};
use crate::model::password_search::PasswordSearch;

/// How many files are handed to another thread at once.
const BATCH: usize = 64;
/// How much waits at most; what is more, a thread does itself.
const WAITING: usize = 1024;

enum Job {
    /// A folder in another one.
    Folder(Arc<TreeFolder>, OsString),
    /// Files in a folder.
    Files(Arc<TreeFolder>, Vec<OsString>),
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    /// Threads that may add more.
    working: usize,
    repositories: Vec<PathBuf>,
}

struct Walk<'a> {
    queue: Mutex<Queue>,
    changed: Condvar,
    search: &'a PasswordSearch,
    collector: &'a Collector,
}

/// What was walked over.
pub struct Walked {
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The repositories in it. Their objects are not searched as files: Git compresses them.
    pub repositories: Vec<PathBuf>,
}

/// Searches a file, or everything below a folder.
pub fn search(
    path: &Path,
    search: &PasswordSearch,
    collector: &Collector,
    threads: usize,
) -> Walked {
    let walk = Walk {
        queue: Mutex::default(),
        changed: Condvar::new(),
        search,
        collector,
    };
    let shown = path.to_string_lossy();
    let mut worker = Worker::new(&walk);
    let mut is_folder = false;
    match tree::start(path) {
        Ok(TreeStart::Folder(folder)) => {
            is_folder = true;
            worker.folder(&Arc::new(folder));
            drop(worker);
            thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| Worker::new(&walk).run());
                }
            });
        }
        Ok(TreeStart::File(file)) => worker.file(file, &shown),
        Ok(TreeStart::Pipe(pipe)) => worker.stream(pipe, &shown),
        Ok(TreeStart::Special) => collector.report(ScanProblem {
            path: shown.into_owned(),
            reason: "it is neither a file nor a folder on a disk".to_owned(),
        }),
        Err(error) => collector.report_read(&shown, Err(error)),
    }
    let queue = walk.queue.into_inner();
    Walked {
        is_folder,
        repositories: queue.unwrap_or_else(PoisonError::into_inner).repositories,
    }
}

impl Walk<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop() {
                queue.working += 1;
                return Some(job);
            }
            if queue.working == 0 {
                return None;
            }
            let waited = self.changed.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self) {
        let mut queue = self.queue();
        queue.working -= 1;
        if queue.working == 0 {
            self.changed.notify_all();
        }
    }

    fn add(&self, job: Job) {
        self.queue().jobs.push(job);
        self.changed.notify_one();
    }
}

struct Worker<'a> {
    walk: &'a Walk<'a>,
    content: ContentSearch<'a>,
}

impl<'a> Worker<'a> {
    fn new(walk: &'a Walk<'a>) -> Self {
        Self {
            walk,
            content: ContentSearch::new(walk.search),
        }
    }

    fn run(mut self) {
        while let Some(job) = self.walk.next() {
            match job {
                Job::Folder(above, name) => match above.folder(&name) {
                    Ok(Some(folder)) => {
                        drop(above);
                        self.folder(&Arc::new(folder));
                    }
                    Ok(None) => {}
                    Err(error) => self.report(&above.path().join(name), error),
                },
                Job::Files(folder, names) => self.files(&folder, &names),
            }
            self.walk.done();
        }
    }

    fn report(&self, path: &Path, error: io::Error) {
        // It was removed, or exchanged, after its name was read.
        let is_gone = [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind());
        if !is_gone {
            self.walk
                .collector
                .report_read(&path.to_string_lossy(), Err(error));
        }
    }

    /// Hands out what is in a folder. Files come last, so that they are searched first: the
    /// folder is then closed before those below it are opened.
    fn folder(&mut self, folder: &Arc<TreeFolder>) {
        let read = self.entries(folder);
        if let Err(error) = read {
            self.report(&or_here(folder.path()), error);
        }
    }

    fn entries(&mut self, folder: &Arc<TreeFolder>) -> io::Result<()> {
        let mut files = Vec::new();
        let mut objects = None;
        let (mut has_head, mut has_refs) = (false, false);
        for entry in folder.entries()? {
            let entry = entry?;
            has_head |= entry.name == "HEAD";
            has_refs |= entry.name == "refs";
            match entry.kind {
                TreeKind::Folder if entry.name == "objects" => objects = Some(entry.name),
                TreeKind::Folder => self.walk.add(Job::Folder(Arc::clone(folder), entry.name)),
                TreeKind::File => files.push(entry.name),
                TreeKind::Other => {}
            }
            if files.len() == BATCH {
                self.hand_out(folder, std::mem::take(&mut files));
            }
        }
        match objects {
            Some(_) if has_head && has_refs => {
                self.walk
                    .queue()
                    .repositories
                    .push(repository(folder.path()));
            }
            Some(name) => self.walk.add(Job::Folder(Arc::clone(folder), name)),
            None => {}
        }
        self.hand_out(folder, files);
        Ok(())
    }

    fn hand_out(&mut self, folder: &Arc<TreeFolder>, files: Vec<OsString>) {
        if files.is_empty() {
        } else if self.walk.queue().jobs.len() < WAITING {
            self.walk.add(Job::Files(Arc::clone(folder), files));
        } else {
            self.files(folder, &files);
        }
    }

    fn files(&mut self, folder: &TreeFolder, names: &[OsString]) {
        for name in names {
            match folder.file(name) {
                Ok(Some(file)) => {
                    let path = folder.path().join(name);
                    self.file(file, &path.to_string_lossy());
                }
                Ok(None) => {}
                Err(error) => self.report(&folder.path().join(name), error),
            }
        }
    }

    fn file(&mut self, mut file: File, shown: &str) {
        let read = self.read_file(&mut file, shown);
        self.walk.collector.report_read(shown, read);
        self.walk.collector.searched();
    }

    fn read_file(&mut self, file: &mut File, shown: &str) -> io::Result<()> {
        let collector = self.walk.collector;
        if let Some(mut without) = WithoutHoles::of(file)? {
            return self
                .content
                .search(&mut without, &mut |hit| collector.found(shown, None, hit));
        }
        let first = self.content.begin(file)?;
        if is_archive(first) {
            file.rewind()?;
            if self.dig(BufReader::new(&mut *file), shown) {
                return Ok(());
            }
            // What is not compressed is still found in the file itself.
            file.rewind()?;
            self.content.begin(file)?;
        }
        self.content
            .go_on(file, &mut |hit| collector.found(shown, None, hit))
    }

    fn stream(&mut self, pipe: File, shown: &str) {
        self.dig(BufReader::new(pipe), shown);
        self.walk.collector.searched();
    }

    /// Searches an archive. Returns whether all of it was read.
    fn dig(&mut self, mut input: impl io::BufRead, shown: &str) -> bool {
        let collector = self.walk.collector;
        let mut found = |name: &str, hit| collector.found(name, None, hit);
        let mut dig = Dig::new(ContentSearch::new(self.walk.search), &mut found);
        let read = dig.search(&mut input, shown);
        let problems = dig.problems();
        let is_whole = read.is_ok() && problems.is_empty();
        collector.report_read(shown, read);
        collector.report_all(problems);
        is_whole
    }
}

/// The folder that Git is run in: the one with the files, or a bare repository itself.
fn repository(git_folder: &Path) -> PathBuf {
    match git_folder.parent() {
        Some(parent) if git_folder.file_name() == Some(".git".as_ref()) => or_here(parent),
        _ => or_here(git_folder),
    }
}

fn or_here(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        return ".".into();
    }
    path.to_owned()
}
