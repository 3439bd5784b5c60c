//! Compares one object of a plan with the store: which fields differ, and the change that
//! makes them equal.

use serde_json::Value;

use super::difference::FieldChange;
use super::values::{every, name, number, of_setting, senders, span, text, texts};
use crate::error::Result;
use crate::model::address_rules::{AddressChange, AddressRules};
use crate::model::alert_rules::{AlertChange, AlertRules};
use crate::model::limits::{LimitSetting, Limits, OnLimit};
use crate::model::message_rules::KeepMessages;
use crate::model::name::DomainName;
use crate::model::plan::{Common, DomainPlan, SettingsPlan, UserPlan};
use crate::model::rotation::{RotationRules, RulesChange};
use crate::model::setting::Setting;
use crate::model::tag::{TagChange, Tags};
use crate::model::time::Time;
use crate::store::{
    DomainChange, Scope, SendingChange, SettingsChange, Store, UserChange, UserRules,
};

/// The outcome of a comparison: what to set is only what differs.
pub struct ObjectComparison<T> {
    pub exists: bool,
    /// Creation time, if it exists; an object created later under the same name
    /// differs.
    pub created_at: Option<Time>,
    pub fields: Vec<FieldChange>,
    pub change: T,
}

#[derive(Default)]
pub struct UserDifference {
    pub user: UserChange,
    pub suspend: Option<bool>,
}

#[derive(Default)]
struct Differ(Vec<FieldChange>);

impl<T> ObjectComparison<T> {
    pub const fn is_as_wanted(&self) -> bool {
        self.exists && self.fields.is_empty()
    }
}

impl UserDifference {
    /// Returns whether nothing differs, except perhaps the suspension.
    pub fn is_empty(&self) -> bool {
        let user = &self.user;
        user.label.is_none()
            && user.note.is_none()
            && user.tags.is_empty()
            && user.daily_limit.is_none()
            && user.expires_at.is_none()
            && user.sending.is_empty()
            && user.rotation.is_empty()
            && user.addresses.is_empty()
    }
}

impl Differ {
    /// Returns the wanted value if it differs from the present one.
    fn plain<T: Clone>(
        &mut self,
        name: &str,
        wanted: Option<&T>,
        from: Value,
        value: impl Fn(&T) -> Value,
    ) -> Option<T> {
        let wanted = wanted?;
        let to = value(wanted);
        if to == from {
            return None;
        }
        self.0.push(FieldChange {
            name: name.to_owned(),
            from,
            to,
        });
        Some(wanted.clone())
    }

    fn setting<T: Clone>(
        &mut self,
        name: &str,
        wanted: Option<&Setting<T>>,
        from: Value,
        value: impl Fn(&T) -> Value,
    ) -> Option<Setting<T>> {
        self.plain(name, wanted, from, |setting| of_setting(setting, &value))
    }

    fn tags(&mut self, wanted: &[TagChange], has: &Tags) -> Vec<TagChange> {
        let differing = wanted.iter().filter_map(|tag| {
            let key = tag.key.as_str();
            let from = has
                .get(key)
                .map_or(Value::Null, |value| value.as_str().into());
            let name = format!("tags.{key}");
            let value = self.setting(&name, Some(&tag.value), from, |v| v.as_str().into())?;
            Some(TagChange {
                key: tag.key.clone(),
                value,
            })
        });
        differing.collect()
    }

    fn limits(&mut self, wanted: &[LimitSetting], has: &Limits) -> Vec<LimitSetting> {
        let differing = wanted.iter().filter_map(|limit| {
            let kind = limit.kind;
            let from = has.get(kind).into();
            let most = self.setting(&kind.to_string(), Some(&limit.most), from, number)?;
            Some(LimitSetting { kind, most })
        });
        differing.collect()
    }

    fn sending(&mut self, wanted: &Common, has: &Limits, on: Option<OnLimit>) -> SendingChange {
        let from = on.map_or(Value::Null, |on| on.name().into());
        SendingChange {
            senders: None,
            limits: self.limits(&wanted.limits, has),
            on_limit: self.setting("on_limit", wanted.on_limit.as_ref(), from, |on| {
                on.name().into()
            }),
        }
    }

    fn alerts(&mut self, wanted: &AlertChange, has: &AlertRules) -> AlertChange {
        let rules = wanted.rules.iter().filter_map(|setting| {
            let name = format!("alert.{}", setting.kind.name());
            let from = texts(&has.rule(setting.kind));
            self.plain(&name, Some(setting), from, |setting| texts(&setting.rule))
        });
        AlertChange {
            rules: rules.collect(),
            commands: self.all("alert_exec", wanted.commands.as_ref(), &has.commands),
            addresses: self.all("alert_mail", wanted.addresses.as_ref(), &has.addresses),
        }
    }

    fn all<T: Clone + ToString>(
        &mut self,
        name: &str,
        wanted: Option<&Vec<T>>,
        has: &[T],
    ) -> Option<Vec<T>> {
        self.plain(name, wanted, every(has), |all| every(all))
    }

    fn rotation(&mut self, wanted: &RulesChange, has: &RotationRules) -> RulesChange {
        let to = &has.delivery;
        let every = has.every.as_ref().map_or(Value::Null, span);
        let timeout = to.timeout.as_ref().map_or(Value::Null, span);
        let env_name = to.env_name.as_ref().map_or(Value::Null, name);
        let (command, file, env) = (
            text(to.command.as_ref()),
            text(to.write_file.as_ref()),
            text(to.write_env.as_ref()),
        );
        RulesChange {
            every: self.setting("rotate_every", wanted.every.as_ref(), every, span),
            command: self.setting("deliver", wanted.command.as_ref(), command, texts),
            timeout: self.setting("deliver_timeout", wanted.timeout.as_ref(), timeout, span),
            write_file: self.setting("write_file", wanted.write_file.as_ref(), file, texts),
            write_env: self.setting("write_env", wanted.write_env.as_ref(), env, texts),
            env_name: self.setting("env_name", wanted.env_name.as_ref(), env_name, name),
        }
    }
}

impl Differ {
    fn addresses(&mut self, wanted: &Common, has: &AddressRules) -> AddressChange {
        let rules = &wanted.addresses;
        let mode = has.mode.map_or(Value::Null, |mode| mode.name().into());
        let unknown = has
            .unknown
            .map_or(Value::Null, |action| action.name().into());
        let learn = has.learn.as_ref().map_or(Value::Null, span);
        let mode = self.setting("addresses", rules.mode.as_ref(), mode, |mode| {
            mode.name().into()
        });
        let unknown = self.setting(
            "unknown_address",
            rules.unknown.as_ref(),
            unknown,
            |action| action.name().into(),
        );
        let learn = self.setting("learn", rules.learn.as_ref(), learn, span);
        let given: Vec<_> = has.given().collect();
        let (allow, disallow) = match &wanted.allowed {
            Some(all) => {
                let gone = given.into_iter().filter(|network| !all.contains(network));
                (has.not_given(all), gone.collect())
            }
            None => (has.not_given(&rules.allow), has.within(&rules.disallow)),
        };
        if !(allow.is_empty() && disallow.is_empty()) {
            self.0.push(FieldChange {
                name: "allowed_addresses".to_owned(),
                from: every(&disallow),
                to: every(&allow),
            });
        }
        AddressChange {
            mode,
            unknown,
            learn,
            allow,
            disallow,
        }
    }
}

/// Compares the settings. Without a store, everything is at its default.
pub fn settings(
    store: Option<&mut Store>,
    wanted: Option<&SettingsPlan>,
) -> Result<(Vec<FieldChange>, SettingsChange)> {
    let Some(wanted) = wanted else {
        return Ok((Vec::new(), SettingsChange::default()));
    };
    let (has, rules, alerts, addresses) = match store {
        Some(store) => (
            store.settings()?,
            store.own_rotation_rules(Scope::INSTALLATION)?,
            store.alert_rules()?,
            store.own_address_rules(Scope::INSTALLATION)?,
        ),
        None => Default::default(),
    };
    let mut differ = Differ::default();
    let host = text(has.host.as_ref());
    let change = SettingsChange {
        host: differ.setting("host", wanted.host.as_ref(), host, texts),
        ports: differ.plain("ports", wanted.ports.as_ref(), texts(&has.ports), texts),
        argon2: differ.plain("argon2", wanted.argon2.as_ref(), texts(&has.argon2), texts),
        accept_hash: differ.plain(
            "accept_hash",
            wanted.accept_hash.as_ref(),
            texts(&has.accept_hash),
            texts,
        ),
        allow_insecure: differ.plain(
            "allow_insecure",
            wanted.allow_insecure.as_ref(),
            has.allow_insecure.into(),
            |yes| (*yes).into(),
        ),
        require_verified_domains: differ.plain(
            "require_verified_domains",
            wanted.require_verified_domains.as_ref(),
            has.require_verified_domains.into(),
            |yes| (*yes).into(),
        ),
        day: differ.plain("day", wanted.day.as_ref(), texts(&has.day), texts),
        sending: differ.sending(&wanted.common, &has.limits, has.on_limit),
        rotation: differ.rotation(&wanted.common.rotation, &rules),
        alerts: differ.alerts(&wanted.alerts, &alerts),
        addresses: differ.addresses(&wanted.common, &addresses),
        ignore_addresses: differ.plain(
            "ignore_addresses",
            wanted.ignore_addresses.as_ref(),
            every(&has.ignore_addresses),
            |all| every(all),
        ),
        keep_messages: differ.plain(
            "keep_messages",
            wanted.keep_messages.as_ref(),
            texts(&KeepMessages(has.messages.keep)),
            texts,
        ),
        keep_recipients: differ.plain(
            "keep_recipients",
            wanted.keep_recipients.as_ref(),
            texts(&has.messages.recipients),
            texts,
        ),
    };
    Ok((differ.0, change))
}

pub fn domain(
    store: Option<&mut Store>,
    name: &DomainName,
    wanted: &DomainPlan,
) -> Result<ObjectComparison<DomainChange>> {
    let mut has = None;
    let (mut limits, mut on_limit) = (Limits::default(), None);
    let mut rules = RotationRules::default();
    let mut addresses = AddressRules::default();
    if let Some(store) = store {
        let owner = Scope::domain(name);
        has = store.domain(name)?;
        limits = store.limits(owner)?;
        on_limit = store.domain_on_limit(name)?;
        rules = store.own_rotation_rules(owner)?;
        addresses = store.own_address_rules(owner)?;
    }
    let host = has.as_ref().and_then(|d| d.host.clone());
    let max_users = has.as_ref().and_then(|d| d.max_users);
    let daily_limit = has.as_ref().and_then(|d| d.daily_limit);
    let mut differ = Differ::default();
    let change = DomainChange {
        host: differ.setting("host", wanted.host.as_ref(), text(host.as_ref()), texts),
        max_users: differ.setting(
            "max_users",
            wanted.max_users.as_ref(),
            max_users.into(),
            number,
        ),
        daily_limit: differ.setting(
            "daily_limit",
            wanted.daily_limit.as_ref(),
            daily_limit.into(),
            number,
        ),
        sending: differ.sending(&wanted.common, &limits, on_limit),
        rotation: differ.rotation(&wanted.common.rotation, &rules),
        addresses: differ.addresses(&wanted.common, &addresses),
    };
    Ok(ObjectComparison {
        exists: has.is_some(),
        created_at: has.map(|domain| domain.created_at),
        fields: differ.0,
        change,
    })
}

/// `has` is empty if the user does not exist.
pub fn user(has: Option<&UserRules>, wanted: &UserPlan) -> ObjectComparison<UserDifference> {
    let is = has.map(|has| &has.user);
    let no_rules = RotationRules::default();
    let rules = has.map_or(&no_rules, |has| &has.rotation);
    let no_addresses = AddressRules::default();
    let addresses = has.map_or(&no_addresses, |has| &has.addresses);
    let limits = has.map(|has| has.limits).unwrap_or_default();
    let on_limit = has.and_then(|has| has.on_limit);
    let has_senders = has.map_or(&[][..], |has| &has.senders);
    let label = is.and_then(|user| user.label.clone());
    let expires_at = is.and_then(|user| user.expires_at);
    let suspended = is.is_some_and(|user| user.suspended_at.is_some());
    let mut differ = Differ::default();
    let label = differ.setting("label", wanted.label.as_ref(), label.into(), |label| {
        label.as_str().into()
    });
    let note = is.and_then(|user| user.note.clone());
    let note = differ.setting("note", wanted.note.as_ref(), note.into(), |note| {
        note.as_str().into()
    });
    let no_tags = Tags::new();
    let tags = differ.tags(&wanted.tags, is.map_or(&no_tags, |user| &user.tags));
    let suspend = differ.plain(
        "suspended",
        wanted.suspended.as_ref(),
        suspended.into(),
        |yes| (*yes).into(),
    );
    let change = UserChange {
        label,
        note,
        tags,
        daily_limit: differ.setting(
            "daily_limit",
            wanted.daily_limit.as_ref(),
            is.and_then(|user| user.daily_limit).into(),
            number,
        ),
        expires_at: differ.setting(
            "expires_at",
            wanted.expires_at.as_ref(),
            text(expires_at.as_ref()),
            texts,
        ),
        sending: SendingChange {
            senders: differ.plain(
                "senders",
                wanted.senders.as_ref(),
                senders(has_senders),
                |all| senders(all),
            ),
            ..differ.sending(&wanted.common, &limits, on_limit)
        },
        rotation: differ.rotation(&wanted.common.rotation, rules),
        addresses: differ.addresses(&wanted.common, addresses),
    };
    ObjectComparison {
        exists: is.is_some(),
        created_at: is.map(|user| user.created_at),
        fields: differ.0,
        change: UserDifference {
            user: change,
            suspend,
        },
    }
}
