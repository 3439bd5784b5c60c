//! `smtpcred domain allow` and `disallow`

use anyhow::Result;
use clap::Args;

use super::record::DomainRecord;
use crate::cli::allowing::{confirm_everything, in_list, listed};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::model::address_rules::AddressChange;
use crate::model::name::DomainName;
use crate::model::network::Network;
use crate::store::{Access, DomainChange};

const ALLOW_HELP: &str = "\
Examples:
  smtpcred domain allow example.com 192.0.2.0/24
  smtpcred domain set example.com --addresses listed     refuses all other addresses

JSON:
  The domain, as in `domain list`.";

/// Allow the users of a domain to sign in from these addresses or networks
///
/// This adds to the lists of the users. A list does not refuse other addresses by itself: `domain set
/// --addresses listed` does.
#[derive(Debug, Args)]
#[command(after_long_help = ALLOW_HELP)]
pub struct AllowAddresses {
    /// The domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// Addresses or networks, such as 192.0.2.7 or 192.0.2.0/24
    #[arg(value_name = "CIDR", required = true)]
    networks: Vec<Network>,
}

const DISALLOW_HELP: &str = "\
Examples:
  smtpcred domain disallow example.com 192.0.2.7
  smtpcred domain disallow example.com 192.0.2.0/24      and all entries within it

JSON:
  The domain, as in `domain list`.";

/// Take addresses or networks off a domain's list
///
/// Entries within them go, too. Open sessions go on.
#[derive(Debug, Args)]
#[command(after_long_help = DISALLOW_HELP)]
pub struct DisallowAddresses {
    /// The domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// Addresses or networks, such as 192.0.2.7 or 192.0.2.0/24
    #[arg(value_name = "CIDR", required = true)]
    networks: Vec<Network>,
}

impl AllowAddresses {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let known = in_list(&app.domain_addresses(&self.name)?);
        drop(app);
        let owner = format!("the users of {}", self.name);
        confirm_everything(context, &self.networks, &known, &owner)?;
        let done = format!("allowed {} for the users of", listed(&self.networks));
        let change = AddressChange {
            allow: self.networks,
            ..AddressChange::default()
        };
        change_list(context, &self.name, change, &done)
    }
}

impl DisallowAddresses {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let done = format!("disallowed {} for the users of", listed(&self.networks));
        let change = AddressChange {
            disallow: self.networks,
            ..AddressChange::default()
        };
        change_list(context, &self.name, change, &done)
    }
}

fn change_list(
    context: &mut Context,
    name: &DomainName,
    addresses: AddressChange,
    done: &str,
) -> Result<()> {
    let mut app = context.app(Access::Existing)?;
    let change = DomainChange {
        addresses,
        ..DomainChange::default()
    };
    let fields = app.set_domain(name, &change)?;
    context.out.note(&if fields.is_empty() {
        format!("unchanged: the allowed addresses of {name}")
    } else {
        format!("{done} {name}")
    });
    Ok(context.out.result(&DomainRecord::of(&mut app, name)?)?)
}
