//! `smtpcred user allow`, `disallow` and `addresses`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::record::UserRecord;
use crate::app::App;
use crate::app::addresses::UserNetwork;
use crate::app::users::UserUpdate;
use crate::cli::allowing::{confirm_everything, listed};
use crate::cli::args::view::{COLUMNS, ViewArgs};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::record::Record;
use crate::model::address_rules::{AddressChange, AddressMode};
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::time::Time;
use crate::store::Access;

const ALLOW_HELP: &str = "\
Examples:
  smtpcred user allow shop@example.com 192.0.2.7
  smtpcred user allow shop@example.com 192.0.2.0/24 2001:db8:0:1::/64
  smtpcred user set shop@example.com --addresses listed  refuses all other addresses

Lists:
  The list of the user, its domain's and the installation's add up. Each has 1,000 entries at most;
  entries may overlap. A single address is a list entry of its own. 0.0.0.0/0 and ::/0 ask
  first, and so do entries that are the same together.

JSON:
  The user, as in `user list`.";

/// Allow a user to sign in from these addresses or networks
///
/// A list does not refuse other addresses by itself: `user set --addresses listed` does.
#[derive(Debug, Args)]
#[command(after_long_help = ALLOW_HELP)]
pub struct AllowAddresses {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Addresses or networks, such as 192.0.2.7 or 192.0.2.0/24
    #[arg(value_name = "CIDR", required = true)]
    networks: Vec<Network>,
}

const DISALLOW_HELP: &str = "\
Examples:
  smtpcred user disallow shop@example.com 192.0.2.7
  smtpcred user disallow shop@example.com 192.0.2.0/24   and all entries within it
  smtpcred user addresses shop@example.com               shows what is left

JSON:
  The user, as in `user list`.";

/// Take addresses or networks off a user's list
///
/// Entries within them go, too, also learned ones. Open sessions go on.
#[derive(Debug, Args)]
#[command(after_long_help = DISALLOW_HELP)]
pub struct DisallowAddresses {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// Addresses or networks, such as 192.0.2.7 or 192.0.2.0/24
    #[arg(value_name = "CIDR", required = true)]
    networks: Vec<Network>,
}

const ADDRESSES_HELP: &str = "\
Examples:
  smtpcred user addresses shop@example.com
  smtpcred user addresses shop@example.com --json | jq -r '.[] | select(.state == \"new\").network'

States:
  allowed: the network, or the last address in it, is in the list of the user, of its domain or of
  the installation. learned: it was added to the user's list because of a good sign-in. new: it is in
  no list; whether that matters is said by --addresses and --unknown-address of `user set`.

Networks:
  Sign-ins are counted by /24 and /64. The last 256 networks of a user are kept. Addresses that
  `set-settings --ignore-address` names are not counted, nor are clients whose address the mail server
  does not pass on.

JSON:
  A list of {network, state, allowed_by, address, first_seen, last_seen, sign_ins, password_ids};
  a missing value is null. allowed_by is {owner, network}; address is the last one.";

/// List the networks from which a user signed in, and may sign in
#[derive(Debug, Args)]
#[command(after_long_help = ADDRESSES_HELP,
    mut_arg(COLUMNS, complete::columns::<NetworkRecord>))]
pub struct ListAddresses {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    #[command(flatten)]
    view: ViewArgs,
}

impl AllowAddresses {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let name = self.username.as_str();
        app.user(&self.username)?;
        let lists = app.listings(&self.username)?;
        let known: Vec<_> = lists.iter().map(|listing| listing.network).collect();
        confirm_everything(context, &self.networks, &known, name)?;
        let change = AddressChange {
            allow: self.networks.clone(),
            ..AddressChange::default()
        };
        let user = change_list(&mut app, context, &self.username, change)?;
        let lists = app.listings(&self.username)?;
        for network in &self.networks {
            let wider = lists
                .iter()
                .find(|listing| listing.network != *network && listing.network.covers(network));
            if let Some(wider) = wider {
                let (wide, owner) = (wider.network, &wider.owner);
                context.out.note(&format!(
                    "{network} is within {wide}, which is in the list of {owner}, too"
                ));
            }
        }
        let policy = app.address_policy(&self.username)?;
        if policy.mode == AddressMode::Any {
            context.out.note(&format!(
                "all other addresses are still allowed; to refuse them: smtpcred user set {} --addresses listed",
                self.username.in_shell()
            ));
        }
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}

impl DisallowAddresses {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let change = AddressChange {
            disallow: self.networks.clone(),
            ..AddressChange::default()
        };
        let user = change_list(&mut app, context, &self.username, change)?;
        let left = app.listings(&self.username)?;
        for network in &self.networks {
            if let Some(wider) = left.iter().find(|left| left.network.covers(network)) {
                let (wide, owner) = (wider.network, &wider.owner);
                context.out.warn(&format!(
                    "{network} is still allowed: it is within {wide}, which is in the list of {owner}"
                ));
            }
        }
        warn_of_empty_list(&mut app, context, &self.username)?;
        Ok(context.out.result(&UserRecord::new(&user, app.now()))?)
    }
}

fn change_list(
    app: &mut App,
    context: &Context,
    username: &Username,
    addresses: AddressChange,
) -> Result<crate::model::user::User> {
    let (word, networks) = if addresses.allow.is_empty() {
        ("disallowed", listed(&addresses.disallow))
    } else {
        ("allowed", listed(&addresses.allow))
    };
    let update = UserUpdate {
        addresses,
        ..UserUpdate::default()
    };
    let (user, fields) = app.set_user(username, update)?;
    context.out.note(&if fields.is_empty() {
        format!("unchanged: the allowed addresses of {username}")
    } else {
        format!("{word} {networks} for {username}")
    });
    Ok(user)
}

/// Warns if a user can sign in from nowhere.
pub fn warn_of_empty_list(app: &mut App, context: &Context, username: &Username) -> Result<()> {
    let policy = app.address_policy(username)?;
    if policy.refuses(app.now()) && policy.lists_nothing() {
        context.out.warn(&format!(
            "no address is allowed, so {username} cannot sign in; run: smtpcred user allow {} CIDR",
            username.in_shell()
        ));
    }
    Ok(())
}

impl ListAddresses {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let found = app.user_addresses(&self.username)?;
        let mut list = self.view.apply(context.out.list::<NetworkRecord>())?;
        for network in &found.networks {
            list.push(&NetworkRecord::new(network))?;
        }
        Ok(list.end("no sign-ins seen yet, and no address listed")?)
    }
}

#[derive(Serialize)]
struct NetworkRecord {
    network: String,
    state: &'static str,
    allowed_by: Option<ListingRecord>,
    address: Option<String>,
    first_seen: Option<Time>,
    last_seen: Option<Time>,
    sign_ins: i64,
    password_ids: Vec<String>,
}

#[derive(Serialize)]
struct ListingRecord {
    owner: String,
    network: String,
}

impl NetworkRecord {
    fn new(network: &UserNetwork) -> Self {
        let passwords = network.passwords.iter();
        let listing = network.listing.as_ref();
        Self {
            network: network.network.to_string(),
            state: match listing {
                Some(listing) if listing.learned => "learned",
                Some(_) => "allowed",
                None => "new",
            },
            allowed_by: listing.map(|listing| ListingRecord {
                owner: listing.owner.clone(),
                network: listing.network.to_string(),
            }),
            address: network.used.map(|used| used.address.to_string()),
            first_seen: network.used.map(|used| used.first_at),
            last_seen: network.used.map(|used| used.last_at),
            sign_ins: network.used.map_or(0, |used| used.sign_ins),
            password_ids: passwords.map(|id| id.as_str().to_owned()).collect(),
        }
    }
}

impl Record for NetworkRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Network"),
        Column::new("State"),
        Column::new("First seen").rank(2).times(TimeForm::Near),
        Column::new("Last seen").times(TimeForm::Near),
        Column::new("Sign-ins").right(),
        Column::new("Password ID").rank(1),
        Column::new("Last address").rank(3),
        Column::new("In the list of").on_request(),
    ];

    fn cells(&self) -> Vec<Cell> {
        let time = |at: Option<Time>| Cell::or(at.map(|at| at.to_string()), "never");
        let tone = if self.state == "new" {
            Tone::Warning
        } else {
            Tone::Good
        };
        let owner = self.allowed_by.as_ref().map(|by| by.owner.clone());
        vec![
            self.network.as_str().into(),
            Cell::new(self.state, tone),
            time(self.first_seen),
            time(self.last_seen),
            self.sign_ins.to_string().into(),
            self.password_ids.join(" ").into(),
            self.address.clone().into(),
            owner.into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "network",
        "state",
        "first_seen",
        "last_seen",
        "sign_ins",
        "password_ids",
        "address",
        "allowed_by",
    ];

    fn fields(&self) -> Vec<String> {
        let time = |at: Option<Time>| at.map_or(String::new(), |at| at.to_string());
        let owner = self.allowed_by.as_ref().map(|by| by.owner.clone());
        vec![
            self.network.clone(),
            self.state.to_owned(),
            time(self.first_seen),
            time(self.last_seen),
            self.sign_ins.to_string(),
            self.password_ids.join(" "),
            self.address.clone().unwrap_or_default(),
            owner.unwrap_or_default(),
        ]
    }
}
