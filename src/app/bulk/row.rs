//! Checks a row of a file of new users, and reports all problems of it at once.

use super::BulkRequest;
use crate::app::columns::{OF_IMPORT_ALONE, OF_NEW_USERS};
use crate::app::credential::Name;
use crate::app::users::{Expiry, UserRequest};
use crate::error::Error;
use crate::formats::fields::{RowFields, limits, senders, tags};
use crate::formats::row::{InputRow, RowProblem};
use crate::model::label::Label;
use crate::model::name::DomainName;
use crate::model::note::Note;
use crate::model::setting::{LimitValue, Setting};
use crate::model::tag::TagChange;
use crate::model::time::Time;
use crate::store::SendingChange;

/// A user that a row asks for.
pub struct RequestedUser {
    pub row: i64,
    pub name: Name,
    pub user: UserRequest,
}

/// Returns the user that a row asks for, or all problems of the row.
pub fn check(
    row: &InputRow,
    request: &BulkRequest,
    now: Time,
    is_json: bool,
) -> Result<RequestedUser, Vec<RowProblem>> {
    let mut fields = RowFields::of(row);
    if is_json {
        fields.only(OF_NEW_USERS.known);
    }
    for (column, reason) in OF_IMPORT_ALONE {
        if fields
            .said(column)
            .is_some_and(|value| !["no", "false"].contains(&value))
        {
            fields.bad(column, reason);
        }
    }
    let user = fields.wanted(&request.user, now);
    let name = fields.wanted_name(request, &user);
    match name {
        Some(name) if fields.problems.is_empty() => Ok(RequestedUser {
            row: row.number,
            name,
            user,
        }),
        _ => Err(fields.problems),
    }
}

impl RowFields<'_> {
    /// Returns a field unless it is empty, which means the same as absent.
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
                self.bad("name", "is given twice: as name and as username");
                return None;
            }
            [found @ (_, true), _] | [_, found] => found,
        };
        if let Some(name) = self.said(column).map(str::to_owned) {
            let username = self.username(column, &name, request.domain.as_ref())?;
            return Some(Name::Chosen(username));
        }
        if self.said("label").is_none_or(|label| label == "none") {
            self.bad(
                "username",
                "is missing, and there is no label to derive it from",
            );
            return None;
        }
        let domain = match self.value("domain", str::parse::<DomainName>) {
            Some(own) => own,
            None if self.said("domain").is_some() => return None,
            None => {
                let Some(domain) = &request.domain else {
                    self.bad("domain", "is missing: specify it with --domain");
                    return None;
                };
                domain.clone()
            }
        };
        Some(Name::Generated(domain, user.label.clone()))
    }

    fn wanted(&mut self, or: &UserRequest, now: Time) -> UserRequest {
        let label = self.value("label", str::parse::<Setting<Label>>);
        let expires_in = self.value("expires_in", |text| text.parse().map(Expiry::In));
        let expires_at = self.value("expires_at", |text| {
            let expiry = Expiry::At(text.parse()?);
            expiry.from(now).map(|_| expiry)
        });
        if expires_in.is_some() && expires_at.is_some() {
            self.bad("expires_at", "is given beside expires_in");
        }
        let daily_limit = self.value("daily_limit", str::parse::<Setting<LimitValue>>);
        let limits = self.value("limits", limits);
        let on_limit = self.value("on_limit", str::parse);
        let senders = self.value("senders", senders);
        let note = self.value("note", str::parse::<Setting<Note>>);
        let tags = self.value("tags", tags);
        let tags = tags.map(|all| all.into_iter().map(TagChange::from).collect());
        UserRequest {
            label: label.map_or_else(|| or.label.clone(), Setting::value),
            note: note.map_or_else(|| or.note.clone(), Setting::value),
            tags: tags.unwrap_or_else(|| or.tags.clone()),
            daily_limit: daily_limit.map_or(or.daily_limit, Setting::value),
            expires: expires_in.or(expires_at).or(or.expires),
            sending: SendingChange {
                senders: senders.or_else(|| or.sending.senders.clone()),
                limits: limits.unwrap_or_else(|| or.sending.limits.clone()),
                on_limit: on_limit.or_else(|| or.sending.on_limit.clone()),
            },
            rotation: or.rotation.clone(),
            addresses: or.addresses.clone(),
        }
    }
}
