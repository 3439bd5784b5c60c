//! What must hold for whatever strangers send. Run by `cargo fuzz run TARGET`
//! with what it makes up, and by `tests/meta/fuzz_corpus.rs` with what it found.

// Each target uses one of them.
#![allow(dead_code)]

use std::io::BufReader;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use smtpcred::app::dns::{Subject, check};
use smtpcred::app::messages::follower::Follower;
use smtpcred::formats::format::ImportFormat;
use smtpcred::formats::maillog::clock::LogClock;
use smtpcred::formats::maillog::log_reader::LogReader;
use smtpcred::formats::row::{Columns, ParsedRow};
use smtpcred::model::dns::spf::{self, Spf};
use smtpcred::model::dns::{DnsAnswer, DnsClient, DnsFailure, RecordType, RecordValue};
use smtpcred::model::followed_message::{MessageChange, MessageState};
use smtpcred::model::hash::{Cost, Given, Hash, given, unlocked};
use smtpcred::model::plan::Plan;
use smtpcred::model::text::escaped;
use smtpcred::model::time::Time;
use smtpcred::protocol::auth::{AuthConversation, AuthStep, MAX_LINE};
use smtpcred::protocol::http::{self, HttpStep, MAX_REQUEST};
use smtpcred::protocol::policy::{PolicyAction, PolicyReader};
use smtpcred::protocol::sasl::{self, SaslCredentials};

/// What someone who scrapes metrics sends, in pieces: once it is known what it is, more of it
/// changes nothing.
pub fn http(data: &[u8]) {
    let data = &data[..data.len().min(MAX_REQUEST)];
    let mut decided = HttpStep::More;
    for length in 0..=data.len() {
        let step = http::read(&data[..length]);
        if decided != HttpStep::More {
            assert_eq!(step, decided, "it changed its mind");
        }
        decided = step;
    }
    assert!(data.len() < MAX_REQUEST || decided != HttpStep::More);
    if let HttpStep::Refuse(status) = decided {
        let answer = status.answer();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

/// Lines of a mail server. `!` and `?` are ours: the oldest request that is
/// being checked turns out right, or wrong.
pub fn auth(data: &[u8]) {
    let start = Instant::now();
    let mut conversation = AuthConversation::default();
    let mut checking: Vec<u32> = Vec::new();
    for (n, line) in data.split(|byte| *byte == b'\n').enumerate() {
        if line.len() > MAX_LINE {
            return;
        }
        if matches!(line, b"!" | b"?") {
            if !checking.is_empty() {
                answer(&mut conversation, checking.remove(0), line == b"!");
            }
            continue;
        }
        let now = start + Duration::from_secs(10 * n as u64);
        match conversation.line(line, now) {
            AuthStep::Nothing | AuthStep::Remembering => {}
            AuthStep::Reply(reply) => {
                let id = id_of(&reply);
                assert!(
                    !checking.contains(&id),
                    "answered while it is checked: {reply:?}"
                );
                assert!(!reply.starts_with("OK"), "not checked, and right");
            }
            AuthStep::Check(request, credentials) => {
                is_whole(&credentials);
                assert!(!checking.contains(&request.id), "checked twice");
                checking.push(request.id);
            }
            AuthStep::Malformed(request) => {
                assert!(!checking.contains(&request.id), "checked twice");
                checking.push(request.id);
            }
            AuthStep::HangUp(why) => {
                assert!(!why.is_empty());
                return;
            }
        }
    }
    for id in checking {
        answer(&mut conversation, id, true);
    }
}

fn answer(conversation: &mut AuthConversation, id: u32, right: bool) {
    // Given up after a CANCEL, nobody waits for it.
    if let Some(reply) = conversation.answer(id, right.then_some("a@example.com")) {
        assert_eq!(id_of(&reply), id);
        assert_eq!(reply.starts_with("OK\t"), right);
    }
    assert!(
        conversation.answer(id, Some("a@example.com")).is_none(),
        "answered twice"
    );
}

/// An answer is one line, and says to what.
fn id_of(reply: &str) -> u32 {
    let line = reply.strip_suffix('\n').expect("whole");
    assert!(
        !line.is_empty() && !line.contains(['\n', '\r', '\0']),
        "{reply:?}"
    );
    let mut fields = line.split('\t');
    let word = fields.next();
    assert!(matches!(word, Some("OK" | "FAIL" | "CONT")), "{reply:?}");
    let id = fields.next().expect("an id").parse().expect("a number");
    if word == Some("CONT") {
        assert!(fields.next().is_some(), "Exim needs the tab: {reply:?}");
    }
    id
}

fn is_whole(credentials: &SaslCredentials) {
    assert!(!credentials.username.is_empty() && credentials.username.len() <= 320);
    let password = &credentials.password;
    assert!(!password.is_empty() && password.len() <= 1024 && !password.contains(&0));
}

pub fn policy(data: &[u8]) {
    let mut reader = PolicyReader::default();
    for line in data.split(|byte| *byte == b'\n') {
        match reader.line(line) {
            Err(_) => return,
            Ok(None) => {}
            Ok(Some(request)) => {
                assert!(line.is_empty(), "asked before its end");
                for text in [
                    request.sender,
                    request.recipient,
                    request.username,
                    request.instance,
                ] {
                    is_one_answer(&PolicyAction::Refuse {
                        code: "450 4.7.1",
                        text,
                    });
                }
                // Nothing is left of it.
                assert!(matches!(reader.line(b""), Ok(None)));
            }
        }
    }
    is_one_answer(&PolicyAction::Dunno);
}

/// `action=` and words, and an empty line, and nothing Postfix takes for more.
fn is_one_answer(action: &PolicyAction) {
    let reply = action.to_reply();
    let text = reply
        .strip_prefix("action=")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    let text = text.expect("one line and an empty one");
    assert!(
        text.bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
        "{reply:?}"
    );
    assert!(
        text == "DUNNO" || text.starts_with("450 4.7.1 "),
        "{reply:?}"
    );
}

pub fn sasl(data: &[u8]) {
    if let Some(credentials) = sasl::plain(data) {
        is_whole(&credentials);
        let user = credentials.username.as_bytes();
        let tail = [user, b"\0", credentials.password.as_slice()].concat();
        let head = data
            .strip_suffix(&tail[..])
            .and_then(|head| head.strip_suffix(b"\0"));
        assert!(
            head.is_some_and(|head| head.is_empty() || head == user),
            "not what came"
        );
        assert_eq!(format!("{credentials:?}"), "SaslCredentials(…)");
    }
    if let Some(username) = sasl::username(data) {
        assert_eq!(username.as_bytes(), data);
        if let Some(credentials) = sasl::login(username, data) {
            is_whole(&credentials);
        }
    }
    if let Some(decoded) = sasl::decode(data) {
        assert!(decoded.len() <= data.len());
    }
}

/// A row that somebody else wrote to the store.
pub fn phc(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some(hash) = Hash::stored(text) else {
        return;
    };
    assert_eq!(hash.as_str(), text);
    assert_eq!(format!("{hash:?}"), "Hash(…)");
    let number = |name: &str| -> u32 {
        let parameters = text.split('$').nth(3).expect("parameters");
        let found = parameters
            .split(',')
            .find_map(|part| part.strip_prefix(name));
        found.expect(name).parse().expect("a number")
    };
    let (m, t, p) = (number("m="), number("t="), number("p="));
    assert!((8..=1 << 20).contains(&m) && (1..=16).contains(&t) && (1..=16).contains(&p));
    let _ = hash.is_cheaper_than(Cost::default());
}

/// What name servers of strangers say: the lines in turn, whatever was asked.
struct Strangers<'a> {
    lines: Vec<&'a str>,
    asked: usize,
}

impl DnsClient for Strangers<'_> {
    fn ask(&mut self, _: &str, _: RecordType) -> DnsAnswer {
        let line = self.lines[self.asked % self.lines.len()];
        self.asked += 1;
        let value = |part: &str| {
            let (kind, rest) = part.split_at_checked(1).unwrap_or(("", ""));
            match (kind, rest.parse()) {
                ("A", Ok(address)) => RecordValue::Address(address),
                ("M", _) => RecordValue::Exchange {
                    preference: 10,
                    host: rest.to_owned(),
                },
                ("N", _) => RecordValue::Name(rest.to_owned()),
                _ => RecordValue::Text(rest.to_owned()),
            }
        };
        match line {
            "0" => DnsAnswer::NoData,
            "X" => DnsAnswer::NoSuchName,
            "F" => DnsAnswer::Failed(DnsFailure::CannotTell("it does not know".into())),
            line => DnsAnswer::Found(line.split('\t').map(value).collect()),
        }
    }
}

/// Judged in a bounded time, and told in a bounded text.
pub fn dns(data: &[u8]) {
    // And the root.
    const MOST_ASKED: usize = 301;
    const MOST_TOLD: usize = 5000;
    let text = String::from_utf8_lossy(data);
    let mut strangers = Strangers {
        lines: text.split('\n').collect(),
        asked: 0,
    };
    let subject = Subject {
        domain: "example.com".parse().expect("a domain"),
        host: Some("smtp.example.com".parse().expect("a name")),
        selectors: vec!["s1".parse().expect("a selector")],
        verification: None,
    };
    // An error if all that is asked for is denied, even the root.
    let findings = check(&subject, &mut strangers).unwrap_or_default();
    assert!(
        strangers.asked <= MOST_ASKED,
        "{} questions",
        strangers.asked
    );
    for finding in &findings {
        let told = finding.found.len() + finding.hint.as_ref().map_or(0, String::len);
        assert!(told <= MOST_TOLD, "{told} bytes: {finding:?}");
    }
    for line in strangers.lines {
        if line.parse::<Spf>().is_ok() {
            // None for one that is broken.
            let amended = spf::amended(&[line.to_owned()], Some("a:smtp.example.com"));
            let Some(amended) = amended else { continue };
            let spf: Spf = amended.parse().expect("still good");
            assert_ne!(spf.all(), Some(spf::Qualifier::Pass), "{amended}");
        }
    }
}

/// A plan is taken, or what is wrong with it is told in words that a terminal may
/// see, by lines that there are.
pub fn plan(data: &[u8]) {
    let Err(problems) = Plan::parse(data) else {
        return;
    };
    assert!(!problems.is_empty());
    let lines = data.split(|byte| *byte == b'\n').count();
    for problem in problems {
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)));
        let printable = |text: &str| escaped(text) == text;
        assert!(
            printable(&problem.key) && printable(&problem.reason),
            "{problem:?}"
        );
    }
}

/// The columns of our own CSV and JSON.
const COLUMNS: Columns = Columns {
    known: &[
        "username",
        "label",
        "hash",
        "senders",
        "daily_limit",
        "domain",
    ],
    needed: &["username"],
};

/// Reads a file in pieces of `at_once` bytes, and returns what came of each row and of
/// the whole.
fn read(format: ImportFormat, data: &[u8], at_once: usize) -> (Vec<String>, Option<String>) {
    let mut rows = Vec::new();
    let mut input = BufReader::with_capacity(at_once, data);
    let outcome = format.read(COLUMNS, &mut input, &mut |row| {
        rows.push(match row {
            ParsedRow::Good(row) => {
                assert!(row.number >= 1);
                format!("{} {:?} {:?}", row.number, row.fields, row.text)
            }
            ParsedRow::Bad(problem, text) => {
                assert!(
                    problem.row >= 1 && !problem.reason.is_empty(),
                    "{problem:?}"
                );
                assert_eq!(escaped(&problem.reason), problem.reason);
                assert!(problem.column.len() <= 30, "{problem:?}");
                format!("{problem:?} {text:?}")
            }
        });
        Ok(())
    });
    (rows, outcome.err().map(|error| error.to_string()))
}

/// However a file arrives, the same comes of it.
fn import(format: ImportFormat, data: &[u8]) {
    let whole = read(format, data, 64 * 1024);
    assert_eq!(read(format, data, 1), whole);
}

pub fn csv(data: &[u8]) {
    import(ImportFormat::Csv, data);
}

pub fn json(data: &[u8]) {
    import(ImportFormat::Json, data);
}

/// All three kinds of lines.
pub fn passwd(data: &[u8]) {
    import(ImportFormat::DovecotPasswd, data);
    import(ImportFormat::Htpasswd, data);
    import(ImportFormat::DockerMailserver, data);
}

pub fn sasldb(data: &[u8]) {
    import(ImportFormat::Sasldb, data);
}

/// The tables of both programs.
pub fn sql(data: &[u8]) {
    import(ImportFormat::PostfixAdmin, data);
    import(ImportFormat::Maddy, data);
}

/// A hash from a file is refused, or kept in a form that the store reads again.
pub fn hash(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(rest) = unlocked(text) {
        assert!(rest.len() < text.len());
    }
    match given(text) {
        Ok(Given::Hash(hash)) => {
            let stored = Hash::stored(hash.as_str()).expect("read again");
            assert_eq!(stored.scheme(), hash.scheme());
        }
        Ok(Given::Plain(password)) => assert!(password.len() <= text.len()),
        Err(reason) => assert!(!reason.is_empty()),
    }
}

/// Logs of Postfix, in each form.
pub fn postfix_log(data: &[u8]) {
    log(data);
}

/// Logs of Exim.
pub fn exim_log(data: &[u8]) {
    log(data);
}

/// A log says the same in any pieces.
fn log(data: &[u8]) {
    let whole = changes(&[data]);
    let (begin, end) = data.split_at(data.len() / 3);
    assert_eq!(whole, changes(&[begin, end]));
    for change in whole {
        let MessageChange::Changed(message) = change else {
            continue;
        };
        for recipient in &message.recipients {
            let is_unknown = recipient.state == MessageState::Unknown;
            assert_eq!(is_unknown, recipient.reason.is_some(), "{recipient:?}");
            assert!(recipient.count == 1 || recipient.address.is_none());
            let reply = recipient.reply.as_ref().map_or(0, String::len);
            // Invalid bytes become longer.
            assert!(reply <= 3 * 4100);
        }
    }
}

fn changes(pieces: &[&[u8]]) -> Vec<MessageChange> {
    let newest = Time::from_epoch(1_796_083_200);
    let mut reader = LogReader::new(LogClock::new(TimeZone::UTC, newest));
    // So little that messages are dropped, too.
    let mut follower = Follower::new(20_000, |_| true);
    for piece in pieces {
        reader.push(piece, |entry| follower.entry(entry));
    }
    follower.finish();
    let mut changes = Vec::new();
    follower.drain(|change| changes.push(change));
    changes
}
