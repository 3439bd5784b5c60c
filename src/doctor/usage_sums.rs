//! The usage of domains: is it the sum of their users' usage? And the total of users: is it
//! how many there are? An older program that still runs on a migrated store keeps neither.

use std::time::Instant;

use super::depth::Depth;
use super::findings::Area;
use crate::app::World;
use crate::error::Result;
use crate::model::usage::Usage;
use crate::store::Store;

const CURE: &str = "stop or upgrade that smtpcred, then run: smtpcred store maintain";

/// Reports only what is wrong.
pub fn examine(area: &mut Area, store: &mut Store, world: World, depth: Depth) {
    match store.total_in_use_is_wrong() {
        Ok(false) => {}
        Ok(true) => area.warn(
            "users",
            "wrong total of users; an older smtpcred changed this store",
            CURE,
        ),
        Err(error) => area.error("users", &error),
    }
    match wrong_sums(store, world, depth) {
        Ok(0) => {}
        Ok(wrong) => area.warn(
            "usage",
            &format!(
                "wrong totals of domains: {wrong}; an older smtpcred still writes to this store"
            ),
            CURE,
        ),
        Err(error) => area.error("usage", &error),
    }
}

/// Returns how many sums of the latest days are wrong, as far as they were read in time.
fn wrong_sums(store: &mut Store, world: World, depth: Depth) -> Result<u64> {
    let began = Instant::now();
    let today = Usage::day_of((world.now)(), &store.settings()?.day);
    let mut wrong = 0;
    let mut last = today.saturating_sub(depth.usage_days);
    while began.elapsed() < depth.time
        && let Some(day) = store.next_usage_day(last)?
    {
        wrong += store.wrong_usage_sums(day)?;
        last = day;
    }
    Ok(wrong)
}
