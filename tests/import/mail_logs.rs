//! Recordings of real servers, and the end of each recipient. `maillogs/README.md` says what
//! happened in each.

use std::fs;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use smtpcred::app::messages::follower::{DEFAULT_LIMIT, Follower};
use smtpcred::formats::maillog::clock::LogClock;
use smtpcred::formats::maillog::log_reader::LogReader;
use smtpcred::model::followed_message::{
    FollowedMessage, MessageChange, MessageKey, MessageState, RecipientOutcome, RefusedMessage,
};
use smtpcred::model::time::Time;

/// A log that is followed, and what was said about its messages so far.
pub struct Followed {
    reader: LogReader,
    follower: Follower,
    /// The last state of each.
    pub messages: Vec<FollowedMessage>,
    /// Those that will not change.
    pub settled: Vec<MessageKey>,
    /// Those that were not accepted.
    pub refused: Vec<RefusedMessage>,
}

impl Followed {
    /// Follows everyone's messages; open ones may take this many bytes.
    pub fn new(limit: usize) -> Self {
        let newest: Time = "2026-12-01T00:00:00Z".parse().expect("a time");
        Self {
            reader: LogReader::new(LogClock::new(TimeZone::UTC, newest)),
            follower: Follower::new(limit, |user| user != "unwanted@example.com"),
            messages: Vec::new(),
            settled: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Reads more of the log.
    pub fn read(&mut self, bytes: &[u8]) {
        let follower = &mut self.follower;
        self.reader.push(bytes, |entry| follower.entry(entry));
        self.keep();
    }

    /// Goes on with what another one has open.
    pub fn resume(&mut self, before: &Self) {
        let is_open = |m: &&FollowedMessage| !before.settled.contains(&m.key);
        for message in before.messages.iter().filter(is_open) {
            assert!(self.follower.adopt(message));
            self.messages.push(message.clone());
        }
    }

    /// The log ends.
    pub fn finish(&mut self) {
        self.follower.finish();
        self.keep();
    }

    /// How much is kept.
    pub fn open_legs(&self) -> usize {
        self.follower.open_legs()
    }

    fn keep(&mut self) {
        let (messages, settled) = (&mut self.messages, &mut self.settled);
        self.follower.drain(|change| match change {
            MessageChange::Changed(message) => {
                assert!(!settled.contains(&message.key), "settled: {message:?}");
                match messages.iter_mut().find(|known| known.key == message.key) {
                    Some(known) => *known = message,
                    None => messages.push(message),
                }
            }
            MessageChange::Settled(key) => settled.push(key),
        });
        self.follower
            .drain_refused(|message| self.refused.push(message));
    }
}

/// All messages of a log, read in pieces of this size.
pub fn follow(log: &[u8], piece: usize) -> Vec<FollowedMessage> {
    let mut followed = Followed::new(DEFAULT_LIMIT);
    for bytes in log.chunks(piece) {
        followed.read(bytes);
    }
    followed.finish();
    followed.messages
}

/// `sender recipient state dsn reply`, as `expected.tsv` has them.
pub fn row(message: &FollowedMessage, recipient: &RecipientOutcome) -> String {
    let address = recipient.address.as_deref().unwrap_or("?");
    let name = match &recipient.original {
        Some(original) => format!("{original} -> {address}"),
        None => address.to_owned(),
    };
    format!(
        "{}\t{name}\t{}\t{}\t{}",
        message.sender.as_deref().unwrap_or("?"),
        recipient.state.name(),
        recipient.dsn.as_deref().unwrap_or(""),
        begin(recipient.reply.as_deref().unwrap_or(""))
    )
}

/// The recordings have 280 characters of each reply.
pub fn begin(reply: &str) -> String {
    reply.chars().take(280).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/import/maillogs")
}

/// A recording.
pub fn recording(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).expect("a recording")
}

fn recordings() -> Vec<String> {
    let files = fs::read_dir(folder()).expect("a folder");
    let names = files.map(|file| {
        file.expect("a file")
            .file_name()
            .into_string()
            .expect("UTF-8")
    });
    let is_log = |name: &String| name.as_bytes().ends_with(b".log");
    let mut names: Vec<String> = names.filter(is_log).collect();
    names.sort();
    names
}

fn rows(log: &[u8]) -> Vec<String> {
    let messages = follow(log, log.len());
    let mut rows: Vec<String> = messages
        .iter()
        .flat_map(|message| message.recipients.iter().map(|r| row(message, r)))
        .collect();
    rows.sort();
    rows
}

/// What must be found of a row of `expected.tsv`. `None` if there is no message.
fn wanted(case: &str, fields: &[&str]) -> Option<String> {
    let [_, sender, recipient, state, dsn, reply, note] = fields else {
        panic!("not a row: {fields:?}");
    };
    let is_message = !matches!(*state, "rejected" | "refused" | "lost");
    // The proxy's line names the user.
    let has_user = !note.contains("user none") || case == "p21-proxy-filter";
    let (recipient, reply) = match (case, *recipient) {
        // The log only counts it.
        ("p18-milter", "gone@ok.test") | ("x08-acl", "a-discard@ok.test") => ("?", *reply),
        // The reason is in a line without an id.
        ("x08-acl", "poldiscard@ok.test") => ("?", ""),
        // No line counts or names it.
        ("x05-alias", "dup2@example.com") => return None,
        (_, recipient) => (recipient, *reply),
    };
    let text = |text: &str| text.replace("\\t", "\t");
    (is_message && has_user).then(|| {
        let reply = begin(&text(reply));
        format!("{sender}\t{}\t{state}\t{dsn}\t{reply}", text(recipient))
    })
}

fn table() -> Vec<Vec<String>> {
    let table = fs::read_to_string(folder().join("expected.tsv")).expect("the table");
    let lines = table.lines().skip(1);
    lines
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// The names of the recordings with an end.
pub fn cases() -> Vec<String> {
    let mut cases: Vec<String> = table()
        .into_iter()
        .map(|fields| fields[0].clone())
        .collect();
    cases.dedup();
    assert_eq!(cases.len(), 41);
    cases
}

/// What must be found in a recording.
pub fn expected(case: &str) -> Vec<String> {
    let table = table();
    let of_case = table.iter().filter(|fields| fields[0] == case);
    let mut rows: Vec<String> = of_case
        .filter_map(|fields| {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            wanted(case, &fields)
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn every_recipient_of_every_recording_ends_as_it_did() {
    let mut wrong = Vec::new();
    for case in cases() {
        let wanted = expected(&case);
        let found = rows(&recording(&format!("{case}.log")));
        let missing = wanted.iter().filter(|row| !found.contains(row));
        wrong.extend(missing.map(|row| format!("- {case}: {row}")));
        let added = found.iter().filter(|row| !wanted.contains(row));
        wrong.extend(added.map(|row| format!("+ {case}: {row}")));
        assert!(
            found.len() == wanted.len() || !wrong.is_empty(),
            "{case}: {found:?}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn count(name: &str, state: MessageState) -> usize {
    let messages = follow(&recording(name), 4096);
    let recipients = messages.iter().flat_map(|message| &message.recipients);
    recipients
        .filter(|recipient| recipient.state == state)
        .count()
}

#[test]
fn the_journal_and_syslog_say_the_same() {
    let plain = |name: &str| {
        let mut rows: Vec<String> = rows(&recording(name))
            .iter()
            // The rig's ids, and names of recipients, differ between the runs.
            .map(|row| {
                row.replace("once-j2", "once-j")
                    .split("queued as")
                    .next()
                    .unwrap_or("")
                    .to_owned()
            })
            .collect();
        rows.sort();
        rows
    };
    let journal = plain("j01-journal-json.log");
    assert_eq!(journal.len(), 12);
    assert_eq!(journal, plain("j03-rsyslog-traditional.log"));
}

#[test]
fn what_journald_dropped_is_unknown_and_never_guessed() {
    assert_eq!(
        count("j05-rsyslog-while-journal-lost.log", MessageState::Sent),
        21
    );
    assert_eq!(count("j04-journal-ratelimited.log", MessageState::Sent), 14);
    assert_eq!(
        count("j04-journal-ratelimited.log", MessageState::Unknown),
        1
    );
}

#[test]
fn pieces_of_any_size_give_the_same() {
    for name in recordings() {
        let log = recording(&name);
        let whole = follow(&log, log.len());
        for piece in [1, 7, 1000, 4096] {
            assert_eq!(follow(&log, piece), whole, "{name} in pieces of {piece}");
        }
    }
}

/// Whether a later line may still take it back: only mail that a program took, which may
/// submit it again under another id.
fn may_change(recipient: &RecipientOutcome) -> bool {
    let is_piped = recipient
        .reply
        .as_deref()
        .is_some_and(|r| r.starts_with("delivered via"));
    is_piped
        || matches!(
            recipient.state,
            MessageState::Deferred | MessageState::Held | MessageState::Unknown
        )
}

#[test]
fn no_beginning_of_a_log_says_what_its_end_takes_back() {
    for name in recordings() {
        let log = recording(&name);
        let end = follow(&log, log.len());
        let mut followed = Followed::new(DEFAULT_LIMIT);
        for line in log.split_inclusive(|byte| *byte == b'\n') {
            followed.read(line);
            for message in &followed.messages {
                let last = end.iter().find(|last| last.key == message.key);
                let last = last.unwrap_or_else(|| panic!("{name}: {message:?} is gone"));
                for recipient in message.recipients.iter().filter(|r| !may_change(r)) {
                    let is_kept = last
                        .recipients
                        .iter()
                        .any(|r| (&r.address, r.state) == (&recipient.address, recipient.state));
                    assert!(
                        is_kept,
                        "{name}: {recipient:?} became {:?}",
                        last.recipients
                    );
                }
                if followed.settled.contains(&message.key) {
                    assert_eq!(message, last, "{name}");
                }
            }
        }
    }
}

#[test]
fn bytes_that_are_cut_anywhere_are_no_message() {
    let log = recording("p04-hostile-replies.log");
    let end = follow(&log, log.len());
    for cut in (0..log.len()).step_by(13) {
        for message in follow(&log[..cut], cut.max(1)) {
            let last = end
                .iter()
                .find(|last| last.key == message.key)
                .expect("known");
            for recipient in message.recipients.iter().filter(|r| !may_change(r)) {
                assert!(last.recipients.contains(recipient), "{recipient:?}");
            }
        }
    }
}

/// The lines that a run reads again which resumes.
const AGAIN: usize = 60;

#[test]
fn a_run_that_was_killed_goes_on_where_it_stopped() {
    let states = |messages: &[FollowedMessage]| {
        let mut states: Vec<String> = messages
            .iter()
            .flat_map(|m| {
                m.recipients
                    .iter()
                    .map(|r| format!("{} {}", m.key.queue_id, row(m, r)))
            })
            .collect();
        states.sort();
        states
    };
    let mut wrong = Vec::new();
    for name in recordings() {
        let log = recording(&name);
        let whole = states(&follow(&log, log.len()));
        let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
        for killed in (0..lines.len()).step_by(3) {
            let mut before = Followed::new(DEFAULT_LIMIT);
            before.read(&lines[..killed].concat());
            let mut after = Followed::new(DEFAULT_LIMIT);
            after.resume(&before);
            after.read(&lines[killed.saturating_sub(AGAIN)..].concat());
            after.finish();
            let known = |m: &&FollowedMessage| after.messages.iter().all(|a| a.key != m.key);
            let kept: Vec<FollowedMessage> =
                before.messages.iter().filter(known).cloned().collect();
            let found = states(&[kept, after.messages].concat());
            let differs = |one: &[String], other: &[String]| {
                let mut rows = one.iter().filter(|row| !other.contains(row));
                rows.next().cloned().unwrap_or_default()
            };
            if found != whole {
                let (lost, new) = (differs(&whole, &found), differs(&found, &whole));
                wrong.push(format!("{name} at {killed}: - {lost} + {new}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
