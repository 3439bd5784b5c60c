//! Domains as they are printed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::App;
use crate::app::usage::DomainDetail;
use crate::cli::args::addresses::AddressRulesRecord;
use crate::cli::args::rotation::RulesRecord;
use crate::cli::settings::record::named;
use crate::cli::terminal::column::{Cell, Column, TimeForm};
use crate::cli::terminal::record::Record;
use crate::error::Result;
use crate::model::dns::ZoneRecord;
use crate::model::domain::Domain;
use crate::model::limits::OnLimit;
use crate::model::name::DomainName;
use crate::model::time::Time;

/// A domain in a list.
#[derive(Serialize)]
pub struct DomainRecord {
    domain: String,
    users: u64,
    max_users: Option<u32>,
    daily_limit: Option<u32>,
    host: Option<String>,
    created_at: Time,
    verified_at: Option<Time>,
}

impl DomainRecord {
    /// Reads the domain and its number of users anew.
    pub fn of(app: &mut App, name: &DomainName) -> Result<Self> {
        let (domain, users) = app.domain(name)?;
        Ok(Self::new(domain, users))
    }

    pub fn new(domain: Domain, users: u64) -> Self {
        Self {
            domain: domain.name.to_string(),
            users,
            max_users: domain.max_users,
            daily_limit: domain.daily_limit,
            host: domain.host.map(|host| host.to_string()),
            created_at: domain.created_at,
            verified_at: domain.verified_at,
        }
    }
}

/// A domain with its limits and rules.
#[derive(Serialize)]
pub struct DomainDetailRecord {
    #[serde(flatten)]
    domain: DomainRecord,
    limits: BTreeMap<String, u32>,
    on_limit: Option<&'static str>,
    #[serde(flatten)]
    addresses: AddressRulesRecord,
    #[serde(flatten)]
    rotation: RulesRecord,
    #[serde(skip)]
    must_be_verified: bool,
}

impl DomainDetailRecord {
    pub fn new(detail: DomainDetail) -> Self {
        Self {
            domain: DomainRecord::new(detail.domain, detail.users),
            limits: named(&detail.limits),
            on_limit: detail.on_limit.map(OnLimit::name),
            addresses: AddressRulesRecord::new(&detail.addresses),
            rotation: RulesRecord::new(&detail.rotation),
            must_be_verified: detail.must_be_verified,
        }
    }
}

impl Record for DomainDetailRecord {
    const COLUMNS: &'static [Column] = DomainRecord::COLUMNS;

    fn cells(&self) -> Vec<Cell> {
        self.domain.cells()
    }

    const FIELDS: &'static [&'static str] = DomainRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.domain.fields()
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let mut lines = self.domain.lines();
        let others: Vec<_> = self
            .limits
            .iter()
            .map(|(kind, most)| format!("{most} {kind}"))
            .collect();
        let some = !others.is_empty();
        let others = Cell::or(some.then(|| others.join("\n")), "none");
        lines.push(("Other limits", others));
        lines.push((
            "Over a limit",
            Cell::or(self.on_limit, "the installation's setting"),
        ));
        let addresses = self.addresses.text();
        lines.extend(addresses.map(|text| ("Addresses", text.into())));
        lines.push(("Rotation", self.rotation.text().into()));
        let verified = match self.domain.verified_at {
            Some(at) => at.to_string(),
            None if self.must_be_verified => format!(
                "no, so its users cannot send; run: smtpcred domain verify {}",
                self.domain.domain
            ),
            None => "no (not required)".to_owned(),
        };
        lines.push(("Verified", verified.into()));
        lines
    }
}

impl Record for DomainRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Domain"),
        Column::new("Users"),
        Column::new("Daily limit").right().rank(1),
        Column::new("Server").rank(3),
        Column::new("Created").rank(2).times(TimeForm::Near),
    ];

    fn cells(&self) -> Vec<Cell> {
        let limit = |limit: Option<u32>| Cell::or(limit.map(|n| n.to_string()), "none");
        vec![
            self.domain.as_str().into(),
            match self.max_users {
                Some(max) => format!("{} of {max}", self.users),
                None => self.users.to_string(),
            }
            .into(),
            limit(self.daily_limit),
            Cell::or(self.host.clone(), "the installation's"),
            self.created_at.to_string().into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "domain",
        "users",
        "max_users",
        "daily_limit",
        "host",
        "created_at",
        "verified_at",
    ];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<u32>| n.map_or(String::new(), |n| n.to_string());
        vec![
            self.domain.clone(),
            self.users.to_string(),
            number(self.max_users),
            number(self.daily_limit),
            self.host.clone().unwrap_or_default(),
            self.created_at.to_string(),
            self.verified_at.map_or(String::new(), |at| at.to_string()),
        ]
    }
}

/// A domain that was just added, with the records to publish.
#[derive(Serialize)]
pub struct DomainAdded {
    #[serde(flatten)]
    domain: DomainRecord,
    records: Vec<RecordToPublish>,
}

#[derive(Serialize)]
struct RecordToPublish {
    name: String,
    r#type: &'static str,
    value: String,
}

impl DomainAdded {
    pub fn new(domain: Domain, records: Vec<ZoneRecord>) -> Self {
        let record = |record: ZoneRecord| RecordToPublish {
            name: record.name,
            r#type: record.kind,
            value: record.value,
        };
        Self {
            domain: DomainRecord::new(domain, 0),
            records: records.into_iter().map(record).collect(),
        }
    }
}

impl Record for DomainAdded {
    const COLUMNS: &'static [Column] = DomainRecord::COLUMNS;

    fn cells(&self) -> Vec<Cell> {
        self.domain.cells()
    }

    const FIELDS: &'static [&'static str] = DomainRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.domain.fields()
    }
}
