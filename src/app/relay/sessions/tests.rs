use super::*;

const NOW: Time = Time::from_epoch(1_800_000_000);

fn service(process: u32, connection: u64) -> Service {
    Service {
        process: Some(process),
        is_here: false,
        connection,
    }
}

fn begin(
    sessions: &mut Sessions,
    process: u32,
    connection: u64,
    (username, password_id): (&str, &str),
    from: Option<IpAddr>,
) {
    let username = username.parse().unwrap();
    let password_id = PasswordId::stored(password_id.into());
    let service = service(process, connection);
    sessions.begin(service, (&username, &password_id), from, NOW, 0);
}

/// The passwords that a session of this process may have.
fn passwords(sessions: &mut Sessions, process: u32, from: Option<&str>) -> Vec<String> {
    let user: Username = "shop@example.com".parse().unwrap();
    let from = from.map(|from| from.parse().unwrap());
    let found = sessions.of(process, &user, from);
    let mut found: Vec<_> = found.map(|one| one.password_id.to_string()).collect();
    found.sort();
    found.dedup();
    found
}

/// The passwords and users of the sessions that seem to be open.
fn open(sessions: &Sessions, runs: fn(u32) -> bool) -> Vec<(String, String)> {
    let open = sessions.open(NOW, runs).into_iter();
    let mut open: Vec<_> = open
        .map(|(_, one)| (one.username.to_string(), one.password_id.to_string()))
        .collect();
    open.sort();
    open
}

#[test]
fn one_client_after_another() {
    let mut sessions = Sessions::new();
    let here = Some("192.0.2.1".parse().unwrap());
    begin(&mut sessions, 7, 1, ("shop@example.com", "AAAAAAAA"), here);
    assert_eq!(passwords(&mut sessions, 7, Some("192.0.2.1")), ["AAAAAAAA"]);
    begin(&mut sessions, 7, 1, ("other@example.com", "CCCCCCCC"), here);
    begin(&mut sessions, 7, 1, ("shop@example.com", "BBBBBBBB"), here);
    assert_eq!(passwords(&mut sessions, 7, Some("192.0.2.1")), ["BBBBBBBB"]);
    assert!(passwords(&mut sessions, 8, Some("192.0.2.1")).is_empty());
    assert!(passwords(&mut sessions, 7, Some("192.0.2.2")).is_empty());
    // The same address in another form, or no address at all.
    assert_eq!(
        passwords(&mut sessions, 7, Some("::ffff:192.0.2.1")),
        ["BBBBBBBB"]
    );
    assert_eq!(passwords(&mut sessions, 7, None), ["BBBBBBBB"]);
}

#[test]
fn two_containers_may_have_one_process_id() {
    let mut sessions = Sessions::new();
    begin(&mut sessions, 7, 1, ("shop@example.com", "AAAAAAAA"), None);
    begin(&mut sessions, 7, 2, ("shop@example.com", "BBBBBBBB"), None);
    assert_eq!(passwords(&mut sessions, 7, None), ["AAAAAAAA", "BBBBBBBB"]);
    assert_eq!(open(&sessions, |_| false).len(), 2);
    begin(&mut sessions, 7, 1, ("shop@example.com", "CCCCCCCC"), None);
    assert_eq!(passwords(&mut sessions, 7, None), ["BBBBBBBB", "CCCCCCCC"]);
}

#[test]
fn a_process_that_outlives_our_program_has_one_session() {
    let mut before = Sessions::new();
    let here = Some("192.0.2.1".parse().unwrap());
    let there = Some("192.0.2.2".parse().unwrap());
    begin(&mut before, 7, 3, ("shop@example.com", "AAAAAAAA"), here);
    begin(&mut before, 7, 4, ("shop@example.com", "CCCCCCCC"), there);
    let mut written = Vec::new();
    let mut writer = CarryOverWriter::begin(&mut written, 1 << 20).unwrap();
    before.carry_over(&mut writer).unwrap();
    writer.end().unwrap();
    let mut from = written.as_slice();
    let mut reader = CarryOverReader::begin(&mut from).unwrap();
    let mut after = Sessions::carried_over(&mut reader).unwrap();
    assert_eq!(before.open(NOW, |_| true), after.open(NOW, |_| true));
    assert_eq!(passwords(&mut after, 7, Some("192.0.2.1")), ["AAAAAAAA"]);
    // Its connection is a new one.
    begin(&mut after, 7, 5, ("shop@example.com", "BBBBBBBB"), here);
    assert_eq!(passwords(&mut after, 7, Some("192.0.2.1")), ["BBBBBBBB"]);
    assert_eq!(passwords(&mut after, 7, Some("192.0.2.2")), ["CCCCCCCC"]);
    // Those of two containers stay apart.
    begin(&mut after, 7, 6, ("shop@example.com", "AAAAAAAA"), here);
    assert_eq!(
        passwords(&mut after, 7, Some("192.0.2.1")),
        ["AAAAAAAA", "BBBBBBBB"]
    );
}

#[test]
fn a_message_counts_for_the_only_password_it_may_have() {
    let mut sessions = Sessions::new();
    let user: Username = "shop@example.com".parse().unwrap();
    let amount = Count {
        messages: 1,
        recipients: 3,
        new_recipients: 0,
    };
    begin(&mut sessions, 7, 1, ("shop@example.com", "AAAAAAAA"), None);
    let count = |sessions: &mut Sessions| {
        let id = sessions.count(7, &user, None, amount);
        id.map(|id| id.to_string())
    };
    assert_eq!(count(&mut sessions).as_deref(), Some("AAAAAAAA"));
    let (_, listed) = &sessions.open(NOW, |_| true)[0];
    assert_eq!((listed.messages, listed.recipients), (1, 3));
    begin(&mut sessions, 7, 2, ("shop@example.com", "AAAAAAAA"), None);
    assert_eq!(count(&mut sessions).as_deref(), Some("AAAAAAAA"));
    begin(&mut sessions, 7, 3, ("shop@example.com", "BBBBBBBB"), None);
    assert_eq!(count(&mut sessions), None, "two may have sent it");
}

#[test]
fn only_what_may_be_open_is_listed() {
    let mut sessions = Sessions::new();
    let mut begin_here = |process, connection, username: &str| {
        let service = Service {
            is_here: true,
            ..service(process, connection)
        };
        let login = (
            &username.parse().unwrap(),
            &PasswordId::stored("AAAAAAAA".into()),
        );
        sessions.begin(service, login, None, NOW, 0);
    };
    // A process serves one client after another, and ends.
    begin_here(7, 1, "a@example.com");
    begin_here(7, 1, "b@example.com");
    begin_here(8, 2, "c@example.com");
    let names = |runs| -> Vec<_> { open(&sessions, runs).into_iter().map(|one| one.0).collect() };
    assert_eq!(names(|_| true), ["b@example.com", "c@example.com"]);
    assert_eq!(names(|process| process == 8), ["c@example.com"]);
    let later = Time::from_epoch(NOW.epoch() + SILENT);
    assert!(sessions.open(later, |_| true).is_empty(), "silent for long");
}

#[test]
fn the_memory_is_bounded_and_never_partial() {
    let mut sessions = Sessions::new();
    begin(&mut sessions, 7, 2, ("shop@example.com", "AAAAAAAA"), None);
    for n in 0..1000 {
        let user = format!("u{n}@example.com");
        begin(&mut sessions, 7, 1, (&user, "AAAAAAAA"), None);
        assert!(sessions.processes.get_mut(&7).unwrap().sessions.len() <= USUAL + 1);
    }
    assert_eq!(passwords(&mut sessions, 7, None), ["AAAAAAAA"]);
    for connection in 3..100 {
        let user = format!("u{connection}@example.com");
        begin(&mut sessions, 7, connection, (&user, "AAAAAAAA"), None);
    }
    assert_eq!(passwords(&mut sessions, 7, None), ["AAAAAAAA"]);
    for connection in 100..1100 {
        let session = ("shop@example.com", "BBBBBBBB");
        begin(&mut sessions, 7, connection, session, None);
    }
    // Too many to distinguish.
    assert!(passwords(&mut sessions, 7, None).is_empty());
    for process in 0..50_000 {
        begin(
            &mut sessions,
            process,
            1,
            ("shop@example.com", "AAAAAAAA"),
            None,
        );
        assert!(sessions.processes.len() <= PROCESSES);
    }
    assert_eq!(open(&sessions, |_| true).len(), LISTED, "the latest ones");
}
