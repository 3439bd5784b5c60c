use super::*;
use crate::store::postgres::pg_error::SqlError;

fn cluster(patience: Duration) -> Cluster {
    let url = ConnUrl::of("postgres://u@127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/x").unwrap();
    let timeouts = Timeouts {
        answer: Duration::from_secs(1),
        patience,
    };
    let mut cluster = Cluster::new(url, timeouts);
    cluster.list();
    cluster
}

fn standby() -> Box<PgResult<(PgConnection, Instance)>> {
    Box::new(Err(no_primary()))
}

#[test]
fn a_server_that_hangs_is_waited_for_once() {
    let mut cluster = cluster(Duration::from_secs(30));
    for number in [1, 2] {
        cluster.members[number].asking = true;
    }
    cluster.sender.send(News::Said(1, standby())).unwrap();
    cluster.wait_for_others(Duration::ZERO);
    let silent: Vec<_> = cluster.members.iter().map(|m| m.silent).collect();
    assert_eq!(silent, [false, false, true]);
    let again = Instant::now();
    cluster.wait_for_others(Duration::ZERO);
    assert!(again.elapsed() < OTHERS[1]);
    // One thread asks it, however often it is to be asked.
    cluster.ask_one(2, CONNECT_TIMEOUT);
    assert!(cluster.members[2].asking);
    assert!(cluster.inbox.try_recv().is_err());
    // A late answer counts, too.
    cluster.sender.send(News::Said(2, standby())).unwrap();
    cluster.check().unwrap();
    assert!(cluster.members[2].said.is_some());
}

/// It may be the primary, and have a free connection later.
#[test]
fn a_full_server_is_waited_for_beside_standbys() {
    let mut cluster = cluster(Duration::ZERO);
    cluster.take(News::Said(0, standby()));
    let full = SqlError {
        state: SqlState::TOO_MANY_CONNECTIONS,
        message: "sorry, too many clients already".into(),
    };
    let full = Err(PgError::Sql(Box::new(full)));
    cluster.take(News::Said(1, Box::new(full)));
    let error = cluster.most_specific_error();
    assert!(is_full(&error), "{error:?}");
    let PgError::Sql(said) = error else {
        return;
    };
    for part in [
        "no server accepts writes: 127.0.0.1:1: it is not a primary",
        "; 127.0.0.1:2: sorry, too many clients already; 127.0.0.1:3: it does not answer",
    ] {
        assert!(said.message.contains(part), "{}", said.message);
    }
}

#[test]
fn a_name_has_no_more_addresses_than_are_kept() {
    let mut cluster = cluster(Duration::ZERO);
    for third in 0..100 {
        let address = IpAddr::from([10, 0, third, 1]);
        cluster.take(News::Addresses(0, vec![address, address]));
    }
    assert_eq!(cluster.members.len(), MOST);
}
