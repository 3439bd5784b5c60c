//! Which alerts are raised, and where they are sent: rows of the settings.

use super::alert_outbox::NO_LONGER_SET;
use super::engine::Row;
use super::setting_names::{ALERT, ALERT_EXEC, ALERT_MAIL};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::alert_rules::{AlertChange, AlertRule, AlertRules, AlertSetting, AlertWay};
use crate::model::delivery::CommandLine;
use crate::model::event::Fields;

impl Store {
    /// Returns which alerts are raised, and where they are sent.
    pub fn alert_rules(&mut self) -> Result<AlertRules> {
        const SQL: &str =
            "SELECT name, value FROM settings WHERE name >= 'alert' AND name < 'alerz'";
        let mut rules = AlertRules::default();
        self.engine
            .query(SQL, &[], &mut |row| read(&mut rules, row))?;
        Ok(rules)
    }
}

fn read(rules: &mut AlertRules, row: &dyn Row) -> Result<()> {
    let texts = || {
        serde_json::from_str::<Vec<String>>(row.text(1)?)
            .map_err(|_| row.damaged("a setting is not a list of texts"))
    };
    match row.text(0)? {
        ALERT_EXEC => {
            let lists: Vec<Vec<String>> = serde_json::from_str(row.text(1)?)
                .map_err(|_| row.damaged("commands are not lists of words"))?;
            rules.commands = lists.into_iter().filter_map(CommandLine::stored).collect();
        }
        ALERT_MAIL => {
            let parsed = texts()?
                .into_iter()
                .map(|text| text.parse().map_err(|_| row.not_valid(&text)));
            rules.addresses = parsed.collect::<Result<_>>()?;
        }
        name => {
            let kind = name.strip_prefix(ALERT).and_then(|kind| kind.parse().ok());
            let value = row.text(1)?;
            // Others are of a later version that kept the schema.
            if let Some(kind) = kind
                && let Some(rule) = AlertRule::stored(kind, value)
            {
                rules.set(AlertSetting { kind, rule });
            }
        }
    }
    Ok(())
}

impl Tx<'_> {
    pub(super) fn change_alert_rules(
        &mut self,
        change: &AlertChange,
        mut fields: Fields,
    ) -> Result<Fields> {
        if change.is_empty() {
            return Ok(fields);
        }
        let before = self.store.alert_rules()?;
        self.alert_rules = None;
        for AlertSetting { kind, rule } in &change.rules {
            let name = format!("{ALERT}{}", kind.name());
            let text = rule.to_string();
            let stored = (*rule != kind.default_rule()).then_some(text.as_str());
            self.put(&name, stored)?;
            fields = fields.with(&name, text);
        }
        if let Some(commands) = &change.commands {
            let words: Vec<_> = commands.iter().map(CommandLine::words).collect();
            self.put(ALERT_EXEC, list(&words).as_deref())?;
            let shown: Vec<_> = commands.iter().map(ToString::to_string).collect();
            fields = fields.with(ALERT_EXEC, shown);
        }
        if let Some(addresses) = &change.addresses {
            let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            self.put(ALERT_MAIL, list(&all).as_deref())?;
            fields = fields.with(ALERT_MAIL, all);
        }
        let mut after = before.clone();
        after.change(change);
        let kept: Vec<AlertWay> = after.ways().collect();
        for way in before.ways().filter(|way| !kept.contains(way)) {
            self.forget_alert_way(&way)?;
        }
        Ok(fields)
    }

    /// Gives up what was still to be sent there.
    fn forget_alert_way(&mut self, way: &AlertWay) -> Result<()> {
        const SQL: &str = "UPDATE alert_deliveries SET next_at = NULL, reason = $2
            WHERE way = $1 AND next_at IS NOT NULL";
        let way = way.stored();
        self.later(SQL, &[way.as_str().into(), NO_LONGER_SET.into()])
    }
}

/// Returns nothing for an empty list, which is the default.
fn list<T: serde::Serialize>(all: &[T]) -> Option<String> {
    (!all.is_empty()).then(|| serde_json::json!(all).to_string())
}
