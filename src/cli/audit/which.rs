//! Which events a command is about.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::app::audit::Period;
use crate::cli::complete;
use crate::model::event::Action;
use crate::model::name::{DomainName, Username};
use crate::model::since::Since;
use crate::store::EventFilter;

/// The flags that select events.
#[derive(Debug, Args)]
pub struct EventArgs {
    /// Show only events about this domain and its users
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    pub domain: Option<DomainName>,

    /// Show only events about this user
    #[arg(long, value_name = "USERNAME", add = complete::usernames())]
    pub user: Option<Username>,

    /// Show only events by this actor, as in the column WHO
    #[arg(long, value_name = "ACTOR")]
    pub actor: Option<String>,

    /// Show only events with this action, such as user.create
    #[arg(long, value_name = "ACTION", value_parser = actions(), hide_possible_values = true)]
    pub action: Option<Action>,

    /// Show only events since then: a duration ago (7d, 24h), a date (UTC) or a time
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    pub since: Option<Since>,

    /// Show only events before then: a duration ago (7d, 24h), a date (UTC) or a time
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    pub until: Option<Since>,
}

/// Completes the actions.
fn actions() -> impl TypedValueParser<Value = Action> {
    let names = PossibleValuesParser::new(Action::ALL.map(Action::name));
    names.try_map(|name| name.parse::<Action>())
}

impl EventArgs {
    pub fn filter(self) -> (EventFilter, Period) {
        let filter = EventFilter {
            domain: self.domain,
            username: self.user,
            actor: self.actor,
            action: self.action,
            ..EventFilter::default()
        };
        let period = Period {
            since: self.since,
            until: self.until,
        };
        (filter, period)
    }
}
