//! What a relay may do that has the role `signin` and no more.

use std::time::{Duration, Instant};

use smtpcred::app::relay::{
    PendingWrites, Requester, Reservation, ReservationKind, ReservationOutcome,
};
use smtpcred::model::usage_window::Count;

use crate::support::postgres::Postgres;
use crate::support::store_writer::store_writer;

const USER: &str = "shop@example.com";

/// Deleting is not for a relay: who was to be deleted is suspended.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn who_has_met_a_limit_is_suspended() {
    let server = Postgres::start();
    server.sql("postgres", "CREATE ROLE relay LOGIN");
    for action in ["suspend", "delete"] {
        let sandbox = server.sandbox_with_domain();
        sandbox.ok(&["user", "create", USER, "-q"]);
        sandbox.ok(&["user", "set", USER, "--daily-limit", "1", "-q"]);
        sandbox.ok(&["set-settings", "--on-limit", action, "-q"]);
        sandbox.ok(&["store", "grant", "--role", "signin", "--to", "relay"]);
        let url = &sandbox.database.as_ref().unwrap().url;
        let database = url.rsplit('/').next().unwrap();
        let own = server.url_as("relay", database.split('?').next().unwrap());
        let mut writer = store_writer(&own);
        let message = Reservation {
            requester: Requester::until(Instant::now() + Duration::from_secs(60)),
            username: USER.parse().unwrap(),
            amount: Count {
                messages: 1,
                recipients: 1,
                new_recipients: 0,
            },
            new_recipients: Vec::new(),
            recipient: None,
            kind: ReservationKind::Message,
            has_recipients: false,
            tries: 9,
            waits: 99,
        };
        let mut reserve = || {
            let (wanted, mut alerts) = ([message.clone()], Vec::new());
            writer
                .reserve(&wanted, PendingWrites::default(), &mut alerts)
                .unwrap()
        };
        assert!(matches!(
            reserve()[..],
            [ReservationOutcome::Granted { .. }]
        ));
        assert!(
            matches!(reserve()[..], [ReservationOutcome::Refused(_)]),
            "{action}"
        );
        let shown = sandbox.ok(&["user", "show", USER, "--json"]);
        assert!(shown.contains("\"suspended\""), "{action}: {shown}");
    }
}
