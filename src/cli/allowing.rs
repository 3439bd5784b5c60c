//! Lists of allowed addresses that commands change.

use super::context::Context;
use super::terminal::prompt;
use crate::error::Result;
use crate::model::network::Network;

/// Asks before every address is allowed.
pub fn confirm_everything(context: &Context, networks: &[Network], owner: &str) -> Result<()> {
    let Some(all) = networks.iter().find(|network| network.is_everything()) else {
        return Ok(());
    };
    let consequence = format!("{all} is every address: {owner} could then sign in from anywhere");
    prompt::confirm(
        context,
        "allowing every address",
        &consequence,
        &all.to_string(),
    )
}

/// Returns networks with commas between.
pub fn listed(networks: &[Network]) -> String {
    let networks: Vec<_> = networks.iter().map(Network::to_string).collect();
    networks.join(", ")
}
