//! Lists of allowed addresses that commands change.

use super::context::Context;
use super::terminal::prompt;
use crate::error::Result;
use crate::model::address_rules::AddressRules;
use crate::model::network::{Network, Networks};

/// Asks before every address is allowed: by one of the new networks, or by all together with those
/// that are in the lists already.
pub fn confirm_everything(
    context: &Context,
    new: &[Network],
    listed: &[Network],
    owner: &str,
) -> Result<()> {
    let is_in = |networks: &[Network], all: &Network| {
        let networks: Networks = networks.iter().copied().collect();
        networks.everything().any(|found| found == *all)
    };
    let together: Networks = new.iter().chain(listed).copied().collect();
    let mut together = together.everything();
    let Some(all) = together.find(|all| is_in(new, all) || !is_in(listed, all)) else {
        return Ok(());
    };
    let what = if new.contains(&all) {
        format!("{all} is every address")
    } else {
        format!(
            "these networks, with those in the list, are {all} together, which is every address"
        )
    };
    let consequence = format!("{what}: {owner} could then sign in from anywhere");
    prompt::confirm(
        context,
        "allowing every address",
        &consequence,
        &all.to_string(),
    )
}

/// Returns the networks in a list.
pub fn in_list(rules: &AddressRules) -> Vec<Network> {
    rules
        .allowed
        .iter()
        .map(|allowed| allowed.network)
        .collect()
}

/// Returns networks with commas between.
pub fn listed(networks: &[Network]) -> String {
    let networks: Vec<_> = networks.iter().map(Network::to_string).collect();
    networks.join(", ")
}
