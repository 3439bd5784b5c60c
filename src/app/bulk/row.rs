//! A row of fields to what is wanted of a user, or to all that is wrong with it.

use super::BulkRequest;
use crate::app::credential::Name;
use crate::app::import::Problem;
use crate::app::import::fields::{Fields, limits, senders};
use crate::app::import::format::{Columns, Raw};
use crate::app::users::{Expiry, UserRequest};
use crate::error::Error;
use crate::model::name::DomainName;
use crate::model::settings::{Limit, Setting};
use crate::store::SendingChange;

pub const COLUMNS: Columns = Columns {
    known: &[
        "username",
        "name",
        "domain",
        "label",
        "expires_in",
        "expires_at",
        "daily_limit",
        "limits",
        "on_limit",
        "senders",
    ],
    needed: &["username", "name", "label"],
};

pub struct Wanted {
    pub row: i64,
    pub name: Name,
    pub user: UserRequest,
}

/// `only` names the fields where the file does not.
pub fn check(raw: &Raw, request: &BulkRequest, is_json: bool) -> Result<Wanted, Vec<Problem>> {
    let mut fields = Fields::of(raw);
    if is_json {
        fields.only(COLUMNS.known);
    }
    let user = fields.wanted(&request.user);
    let name = fields.wanted_name(request, &user);
    match name {
        Some(name) if fields.problems.is_empty() => Ok(Wanted {
            row: raw.row,
            name,
            user,
        }),
        _ => Err(fields.problems),
    }
}

impl Fields<'_> {
    /// Empty says no more than absent.
    fn said(&self, column: &str) -> Option<&str> {
        self.field(column).filter(|text| !text.is_empty())
    }

    fn value<T>(&mut self, column: &str, read: impl FnOnce(&str) -> Result<T, Error>) -> Option<T> {
        self.said(column)?;
        self.good(column, read)
    }

    fn wanted_name(&mut self, request: &BulkRequest, user: &UserRequest) -> Option<Name> {
        let names = ["username", "name"].map(|column| (column, self.said(column).is_some()));
        let (column, _) = match names {
            [(_, true), (_, true)] => {
                self.bad("name", "is given twice, as username, too");
                return None;
            }
            [found @ (_, true), _] | [_, found] => found,
        };
        if let Some(name) = self.said(column).map(str::to_owned) {
            let username = self.username(column, &name, request.domain.as_ref())?;
            return Some(Name::Chosen(username));
        }
        if self.said("label").is_none() {
            self.bad("username", "is missing, and so is a label to make one from");
            return None;
        }
        let domain = match self.value("domain", str::parse::<DomainName>) {
            Some(own) => own,
            None if self.said("domain").is_some() => return None,
            None => {
                let Some(domain) = &request.domain else {
                    self.bad("domain", "is missing: say which with --domain");
                    return None;
                };
                domain.clone()
            }
        };
        Some(Name::Generated(domain, user.label.clone()))
    }

    fn wanted(&mut self, or: &UserRequest) -> UserRequest {
        let label = self.value("label", str::parse);
        let expires_in = self.value("expires_in", |text| text.parse().map(Expiry::In));
        let expires_at = self.value("expires_at", |text| text.parse().map(Expiry::At));
        if expires_in.is_some() && expires_at.is_some() {
            self.bad("expires_at", "is given beside expires_in");
        }
        let daily_limit = self.value("daily_limit", str::parse::<Setting<Limit>>);
        let limits = self.value("limits", limits);
        let on_limit = self.value("on_limit", str::parse);
        let senders = self.value("senders", senders);
        UserRequest {
            label: label.or_else(|| or.label.clone()),
            daily_limit: daily_limit.map_or(or.daily_limit, Setting::value),
            expires: expires_in.or(expires_at).or(or.expires),
            sending: SendingChange {
                senders: senders.or_else(|| or.sending.senders.clone()),
                limits: limits.unwrap_or_else(|| or.sending.limits.clone()),
                on_limit: on_limit.or_else(|| or.sending.on_limit.clone()),
            },
            rotation: or.rotation.clone(),
        }
    }
}
