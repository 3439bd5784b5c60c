//! The clock, the random numbers and the actor that commands run with.

use crate::app::World;
use crate::host;

pub const WORLD: World = World {
    now: host::now,
    random: host::random,
    actor: host::actor,
    runs: host::process_runs,
};
