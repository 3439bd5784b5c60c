//! What a relay may do that has the role `signin` and no more.

#[path = "support/postgres.rs"]
mod postgres;
mod support;

#[path = "support/keeper.rs"]
mod keeper;
use keeper::keeper;
use postgres::Postgres;
use smtpcred::app::relay::{Found, Reservation, Reserved};
use smtpcred::model::tally::Amount;

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
        let mut keeper = keeper(&own);
        let message = Reservation {
            username: USER.parse().unwrap(),
            amount: Amount {
                messages: 1,
                recipients: 1,
                new_recipients: 0,
            },
            new_recipient: None,
            counts: true,
            tries: 9,
            waits: 99,
        };
        let mut reserve = || {
            let (wanted, mut alerts) = ([message.clone()], Vec::new());
            keeper
                .reserve(&wanted, Found::default(), &mut alerts)
                .unwrap()
        };
        assert!(matches!(reserve()[..], [Reserved::Granted { .. }]));
        assert!(matches!(reserve()[..], [Reserved::Refused(_)]), "{action}");
        let shown = sandbox.ok(&["user", "show", USER, "--json"]);
        assert!(shown.contains("\"suspended\""), "{action}: {shown}");
    }
}
