use std::fs::{self, OpenOptions};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

/// A folder with a log, and one who follows it.
struct Room {
    folder: TempDir,
    tail: LogTail,
    now: Instant,
    /// What was read, `|` where another log begins and `!` where lines were lost.
    read: String,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        Self {
            tail: LogTail::new(&path, TailStart::Beginning),
            folder,
            now: Instant::now(),
            read: String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn compress(&self, name: &str) {
        let plain = File::open(self.path(name)).unwrap();
        let modified = plain.metadata().unwrap().modified().unwrap();
        let packed = File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(packed, Compression::fast());
        io::copy(&mut &plain, &mut encoder).unwrap();
        encoder.finish().unwrap().set_modified(modified).unwrap();
        fs::remove_file(self.path(name)).unwrap();
    }

    fn truncate(&self) {
        let mut options = OpenOptions::new();
        let file = options.write(true).open(self.path("mail.log")).unwrap();
        file.set_len(0).unwrap();
    }

    /// Reads all that is there.
    fn look(&mut self) {
        let mut buffer = [0; 7];
        loop {
            match self.tail.read(&mut buffer, self.now).unwrap() {
                TailRead::Bytes(count) => {
                    let text = std::str::from_utf8(&buffer[..count]).unwrap();
                    self.read.push_str(text);
                }
                TailRead::Begins { is_lost } => {
                    self.read.push_str(if is_lost { "!|" } else { "|" });
                }
                TailRead::Nothing => return,
            }
        }
    }

    /// Time goes on, and all that is there is read.
    fn wait(&mut self) {
        self.look();
        self.now += QUIET;
        self.look();
    }

    /// The process is killed and started again.
    fn restart(&mut self) {
        let position = self.tail.position().unwrap();
        self.tail = LogTail::new(&self.path("mail.log"), TailStart::At(position));
    }

    #[track_caller]
    fn says(&mut self, wanted: &str) {
        self.look();
        assert_eq!(std::mem::take(&mut self.read), wanted);
    }
}

#[test]
fn a_log_that_is_missing_is_read_once_it_is_there() {
    let mut room = Room::new();
    room.says("");
    room.append("mail.log", "one\n");
    room.says("|one\n");
    room.append("mail.log", "two\n");
    room.says("two\n");
}

#[test]
fn from_the_end_only_what_is_new_is_read() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.tail = LogTail::new(&room.path("mail.log"), TailStart::End);
    room.says("|");
    room.append("mail.log", "two\n");
    room.says("two\n");
    // One that was missing begins after that.
    let mut room = Room::new();
    room.tail = LogTail::new(&room.path("mail.log"), TailStart::End);
    room.says("");
    room.append("mail.log", "one\n");
    room.says("|one\n");
}

#[test]
fn a_renamed_log_is_read_until_no_one_writes_to_it() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    room.rename("mail.log", "mail.log.1");
    room.append("mail.log.1", "two\n");
    room.wait();
    room.says("two\n");
    // The new log is made before the writer is told.
    room.append("mail.log", "");
    room.wait();
    room.append("mail.log.1", "three\n");
    room.says("three\n");
    room.append("mail.log", "five\n");
    room.look();
    room.append("mail.log.1", "four\n");
    room.wait();
    room.says("four\n|five\n");
}

#[test]
fn a_renamed_log_that_never_ends_is_left_after_a_while() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    room.rename("mail.log", "mail.log.1");
    room.append("mail.log", "new\n");
    room.look();
    let mut old = String::new();
    for _ in 0..LAST.as_millis() / 500 {
        room.now += Duration::from_millis(500);
        room.append("mail.log.1", "old\n");
        room.look();
        old.push_str("old\n");
    }
    assert_eq!(room.read, old + "|new\n");
}

#[test]
fn a_log_that_was_rotated_twice_is_read_whole() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    room.rename("mail.log", "mail.log.1");
    room.append("mail.log", "two\n");
    room.rename("mail.log.1", "mail.log.2");
    room.rename("mail.log", "mail.log.1");
    room.compress("mail.log.2");
    room.append("mail.log", "three\n");
    room.wait();
    room.wait();
    room.says("|two\n|three\n");
}

#[test]
fn a_log_that_is_emptied_begins_again() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    room.append("mail.log", "two\n");
    // copytruncate
    fs::copy(room.path("mail.log"), room.path("mail.log.1")).unwrap();
    room.truncate();
    room.wait();
    room.says("|two\n");
    room.append("mail.log", "three is longer than all that was there\n");
    room.wait();
    room.says("|three is longer than all that was there\n");
    // Without a copy, and filled again before anyone looks.
    fs::remove_file(room.path("mail.log.1")).unwrap();
    room.truncate();
    room.append("mail.log", "four is longer than all that was there, too\n");
    room.wait();
    room.says("!|four is longer than all that was there, too\n");
}

#[test]
fn half_a_line_has_no_position() {
    let mut room = Room::new();
    room.append("mail.log", "one\ntw");
    room.says("|one\ntw");
    assert_eq!(room.tail.position().unwrap().offset, 4);
    room.restart();
    room.append("mail.log", "o\n");
    room.says("|two\n");
}

#[test]
fn a_run_resumes_in_the_log_that_it_read() {
    for is_packed in [false, true] {
        let mut room = Room::new();
        room.append("mail.log", "one\n");
        room.says("|one\n");
        room.append("mail.log", "two\n");
        room.rename("mail.log", "mail.log.1");
        room.restart();
        room.says("|two\n");
        room.append("mail.log.1", "three\n");
        room.wait();
        room.says("three\n");
        room.append("mail.log.1", "four\n");
        if is_packed {
            room.compress("mail.log.1");
        }
        room.append("mail.log", "five\n");
        room.restart();
        room.wait();
        room.says("|four\n|five\n");
        room.restart();
        room.says("|");
        // Another log may get the number of the one that is gone.
        room.rename("mail.log", "mail.log.1");
        room.append("mail.log", "six is another log\n");
        fs::remove_file(room.path("mail.log.1")).unwrap();
        room.restart();
        room.says("!|six is another log\n");
    }
}

#[test]
fn a_run_resumes_after_the_log_was_emptied() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    room.append("mail.log", "two\n");
    fs::copy(room.path("mail.log"), room.path("mail.log-20261130")).unwrap();
    room.truncate();
    room.append("mail.log", "three\n");
    room.restart();
    room.wait();
    room.says("|two\n|three\n");
}

#[test]
fn a_copy_in_place_of_the_log_goes_on() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    fs::copy(room.path("mail.log"), room.path("new")).unwrap();
    room.append("new", "two\n");
    room.rename("new", "mail.log");
    room.wait();
    room.says("|two\n");
    room.restart();
    room.says("|");
}

#[test]
fn what_is_no_log_is_an_error() {
    let mut room = Room::new();
    fs::create_dir(room.path("mail.log")).unwrap();
    let error = room.tail.read(&mut [0; 7], room.now).unwrap_err();
    assert!(error.to_string().contains("not a regular file"));
}

/// Longer than what is compared, and found again compressed.
#[test]
fn long_logs_are_told_apart_by_their_beginnings() {
    let mut room = Room::new();
    let lines = "a line like others\n".repeat(2000);
    room.append("mail.log", &lines);
    room.says(&format!("|{lines}"));
    room.append("mail.log", "last\n");
    room.rename("mail.log", "mail.log.1");
    room.compress("mail.log.1");
    room.append("mail.log.2", &format!("other\n{lines}more\n"));
    room.append("mail.log", "new\n");
    room.restart();
    room.wait();
    // The one that was written later comes in between.
    room.says(&format!("|last\n|other\n{lines}more\n|new\n"));
}

#[test]
fn what_was_written_and_copied_before_anyone_looked_is_read() {
    let mut room = Room::new();
    room.append("mail.log", "");
    room.says("|");
    room.append("mail.log", "one\n");
    fs::copy(room.path("mail.log"), room.path("mail.log.1")).unwrap();
    room.truncate();
    room.wait();
    room.append("mail.log", "two\n");
    room.wait();
    room.says("|one\n|two\n");
    // The same while nothing runs.
    let mut room = Room::new();
    room.append("mail.log", "");
    room.says("|");
    let position = room.tail.position().unwrap();
    assert_eq!(position.offset, 0);
    room.append("mail.log", "one\n");
    fs::copy(room.path("mail.log"), room.path("mail.log.1")).unwrap();
    room.truncate();
    room.append("mail.log", "two\n");
    room.restart();
    room.wait();
    room.says("|one\n|two\n");
}

#[test]
fn logs_that_were_rotated_at_once_are_all_read() {
    let mut room = Room::new();
    room.append("mail.log", "one\n");
    room.says("|one\n");
    for number in 1..=3 {
        room.rename("mail.log", &format!("mail.log.{number}"));
        room.append("mail.log", &format!("{number} more\n"));
    }
    // Nothing is written since the last time.
    room.rename("mail.log", "mail.log.4");
    for _ in 0..4 {
        room.wait();
    }
    // In any order, if the clock of the file system is too slow to tell.
    let mut read: Vec<&str> = room.read.split('|').collect();
    read.sort_unstable();
    assert_eq!(read, ["", "1 more\n", "2 more\n", "3 more\n"]);
    room.read.clear();
    room.append("mail.log", "new\n");
    room.wait();
    room.wait();
    room.says("|new\n");
}
