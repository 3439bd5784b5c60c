//! What a relay may do that has the role `signin` and no more.

#[path = "support/postgres.rs"]
mod postgres;
mod support;

use postgres::Postgres;
use smtpcred::app::World;
use smtpcred::app::relay::keeper::Keeper;
use smtpcred::app::relay::{Found, Reservation, Reserved};
use smtpcred::model::actor::Actor;
use smtpcred::model::tally::Amount;
use smtpcred::model::time::Time;
use smtpcred::store::{Access, Location, Store};

const USER: &str = "shop@example.com";

fn now() -> Time {
    Time::from_epoch(1_800_000_000)
}

fn actor() -> Actor {
    Actor {
        name: "relay".into(),
        run_as: None,
        host: "here".into(),
    }
}

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
        let location = Location::parse(own.as_ref()).unwrap();
        let open = move |patience| Store::open_within(&location, Access::Existing, patience);
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let mut keeper = Keeper::new(Box::new(open), World { now, random, actor });
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
