//! Searches Git repositories with the git program: each object once, whether or not a commit
//! still has it. The commits are only looked up of what was found.
//!
//! A repository may belong to another user, and its configuration names programs. [`command`]
//! has git run none of them.

mod blobs;
mod command;
mod first_commits;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::thread;

use self::blobs::{BLOCK, Blobs, ObjectKind, objects};
use self::command::Git;
use super::content::{ContentSearch, Hit};
use super::findings::{Collector, ScanProblem};
use crate::error::Result;
use crate::model::password_search::PasswordSearch;

/// A password in an object.
struct Found {
    object: String,
    kind: ObjectKind,
    hit: Hit,
}

/// Searches all objects of the repository that this folder is in.
pub fn search_history(
    folder: &Path,
    search: &PasswordSearch,
    collector: &Collector,
    threads: usize,
) -> Result<()> {
    let git = Git::at(Some(folder))?;
    let shown = folder.to_string_lossy();
    let problem = |reason: String| {
        let path = shown.clone().into_owned();
        collector.report(ScanProblem { path, reason });
    };
    if let Err(reason) = git.check() {
        problem(reason);
        return Ok(());
    }
    let found = Mutex::new(Vec::new());
    let (send, receive) = sync_channel::<Vec<String>>(threads);
    let receive = Mutex::new(receive);
    let work = || {
        let mut blobs = Blobs::new(&git);
        let mut content = ContentSearch::new(search);
        loop {
            // Locked only while this thread waits for its next block.
            let block = receive.lock().map(|receive| receive.recv());
            let Ok(Ok(block)) = block else {
                return;
            };
            blobs.read_each(&block, &mut |object, kind, input| {
                collector.searched();
                content.search(input, &mut |hit| {
                    let object = object.to_owned();
                    if let Ok(mut found) = found.lock() {
                        found.push(Found { object, kind, hit });
                    }
                })
            });
            blobs.problems().into_iter().for_each(problem);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        let mut block = Vec::with_capacity(BLOCK);
        let mut hand_out = |object| {
            block.push(object);
            if block.len() == BLOCK {
                // They wait for blocks until there are no more.
                let _ = send.send(std::mem::take(&mut block));
            }
        };
        let listed = objects(&git, &mut hand_out, &mut |damage| problem(damage));
        let _ = send.send(block);
        drop(send);
        if let Err(reason) = listed {
            problem(reason);
        }
    });
    let found = found.into_inner().unwrap_or_default();
    name_commits(&git, found, collector, &shown).unwrap_or_else(|error| problem(error.to_string()));
    Ok(())
}

fn name_commits(
    git: &Git,
    found: Vec<Found>,
    collector: &Collector,
    shown: &str,
) -> std::io::Result<()> {
    let blobs = found.iter().filter(|it| it.kind == ObjectKind::Blob);
    let blobs: HashSet<String> = blobs.map(|it| it.object.clone()).collect();
    let firsts = if blobs.is_empty() {
        HashMap::new()
    } else {
        first_commits::of(git, blobs)?
    };
    for Found { object, kind, hit } in found {
        match (kind, firsts.get(&object)) {
            (ObjectKind::Commit, _) => collector.found(shown, Some(&object), hit),
            (_, Some(first)) => {
                let file = below(shown, &first.path);
                collector.found(&file, Some(&first.commit), hit);
            }
            // No commit has it, or it is the message of a tag.
            (_, None) => collector.found(&format!("{shown}!{object}"), None, hit),
        }
    }
    Ok(())
}

/// Searches the files that the next commit would change.
pub fn search_staged(
    folder: Option<&Path>,
    search: &PasswordSearch,
    collector: &Collector,
) -> Result<()> {
    let git = Git::at(folder)?;
    let shown = folder.map_or(".".into(), Path::to_string_lossy);
    let problem = |reason: String| {
        let path = shown.clone().into_owned();
        collector.report(ScanProblem { path, reason });
    };
    let staged = match git.check().and_then(|()| first_commits::staged(&git)) {
        Ok(staged) => staged,
        Err(reason) => {
            problem(reason);
            return Ok(());
        }
    };
    let mut blobs = Blobs::new(&git);
    let mut content = ContentSearch::new(search);
    for block in staged.chunks(BLOCK) {
        let objects: Vec<String> = block.iter().map(|(object, _)| object.clone()).collect();
        // In the same order, without those that cannot be read.
        let mut left = block.iter();
        blobs.read_each(&objects, &mut |object, _, input| {
            collector.searched();
            let path = left.find(|(staged, _)| staged == object);
            let path = path.map_or_else(String::new, |(_, path)| below(&shown, path));
            content.search(input, &mut |hit| collector.found(&path, None, hit))
        });
        blobs.problems().into_iter().for_each(problem);
    }
    Ok(())
}

fn below(folder: &str, path: &str) -> String {
    match folder {
        "." => path.to_owned(),
        _ => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}
