//! The writing side of a relay by itself, at a time that stands still.

use smtpcred::app::World;
use smtpcred::app::relay::writer::StoreWriter;
use smtpcred::model::actor::Actor;
use smtpcred::model::time::Time;
use smtpcred::store::{Access, Location, Store};

pub fn now() -> Time {
    Time::from_epoch(1_800_000_000)
}

pub fn actor() -> Actor {
    Actor {
        name: "relay".into(),
        run_as: None,
        host: "here".into(),
    }
}

/// Of the store at this URL.
pub fn store_writer(url: &str) -> StoreWriter {
    let location = Location::parse(url.as_ref()).unwrap();
    let open = move |patience| Store::open_within(&location, Access::Existing, patience);
    let random = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    StoreWriter::new(
        Box::new(open),
        World {
            now,
            random,
            actor,
            runs: |_| true,
        },
    )
}
