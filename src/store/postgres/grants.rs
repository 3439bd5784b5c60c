//! Grants the rights of roles.

use super::translate::statements;
use super::{Postgres, schema};
use crate::error::{Error, Result};
use crate::model::role::Role;
use crate::model::text::quoted as escaped;

/// For `serve`: it reads everything, and writes what it measures. Of a password it changes
/// the hash and the retirement, of an old name the end; triggers keep it from prolonging them. It suspends users that reach a limit; a trigger keeps it
/// from resuming them. An alert that it raised stays as it is, until an operator acknowledges or
/// deletes it.
const SIGNIN: &str = "
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred TO {to};
    GRANT INSERT ON smtpcred.events TO {to};
    GRANT INSERT, UPDATE ON smtpcred.event_marks TO {to};
    GRANT INSERT, UPDATE, DELETE ON smtpcred.last_connections, smtpcred.counts,
        smtpcred.recipients, smtpcred.usage, smtpcred.usage_by_domain, smtpcred.summing,
        smtpcred.failures, smtpcred.limits_near, smtpcred.seen_addresses TO {to};
    GRANT INSERT ON smtpcred.allowed_addresses, smtpcred.alerts, smtpcred.alert_deliveries TO {to};
    GRANT UPDATE (more, last_at) ON smtpcred.alerts TO {to};
    GRANT UPDATE (tries, next_at, sent_at, reason) ON smtpcred.alert_deliveries TO {to};
    GRANT INSERT, DELETE ON smtpcred.session_reports, smtpcred.sessions TO {to};
    GRANT UPDATE (hash, retires_at, retiring_since, retire_latest) ON smtpcred.passwords TO {to};
    GRANT UPDATE (expiry_told, suspended_at) ON smtpcred.users TO {to};
    GRANT UPDATE (settles_at, began_at) ON smtpcred.rotations TO {to};
    GRANT UPDATE (until, renamed_at) ON smtpcred.old_names TO {to};";

/// Nothing changes or deletes an event.
const OPERATOR: &str = "
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA smtpcred TO {to};
    REVOKE INSERT, UPDATE, DELETE ON smtpcred.store FROM {to};
    REVOKE UPDATE, DELETE ON smtpcred.events FROM {to};
    REVOKE DELETE ON smtpcred.event_marks FROM {to};";

const AUDITOR: &str = "
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred TO {to};
    REVOKE SELECT ON smtpcred.passwords, smtpcred.dovecot_users, smtpcred.dovecot_overlap
        FROM {to};
    GRANT USAGE ON SCHEMA smtpcred_audit TO {to};
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred_audit TO {to};";

/// The reader of the logs sees no more of the store than the names of its users.
const MESSAGES: &str = "
    GRANT SELECT ON smtpcred.store, smtpcred.followed_users, smtpcred.message_settings TO {to};
    GRANT SELECT, INSERT, UPDATE, DELETE ON smtpcred.messages, smtpcred.message_recipients,
        smtpcred.message_later_ids, smtpcred.message_refusals, smtpcred.log_positions TO {to};";

/// A role replaces the former one.
const NOTHING: &str = "
    REVOKE ALL ON ALL TABLES IN SCHEMA smtpcred, smtpcred_audit FROM {to};
    REVOKE ALL (hash, retires_at, retiring_since, retire_latest) ON smtpcred.passwords FROM {to};
    REVOKE ALL (expiry_told, suspended_at) ON smtpcred.users FROM {to};
    REVOKE ALL (settles_at, began_at) ON smtpcred.rotations FROM {to};
    REVOKE ALL (until, renamed_at) ON smtpcred.old_names FROM {to};
    REVOKE ALL (more, last_at) ON smtpcred.alerts FROM {to};
    REVOKE ALL (tries, next_at, sent_at, reason) ON smtpcred.alert_deliveries FROM {to};
    REVOKE ALL ON SCHEMA smtpcred, smtpcred_audit FROM {to};";

/// Gives a database user the rights of a role, in place of those it had. Returns an error if
/// the user does not exist, is the current one, or if granting is not permitted.
pub fn grant(engine: &mut Postgres, role: Role, to: &str) -> Result<()> {
    if to.is_empty() || to.contains('\0') || to.eq_ignore_ascii_case("public") {
        return Err(Error::Usage(
            "roles are given to one database user, by its name".into(),
        ));
    }
    let own = engine.ask(|connection| connection.simple("SELECT current_user"))?;
    if own.first().is_some_and(|own| own == to) {
        return Err(Error::Usage(format!(
            "{to} is who gives rights here: its own stay as they are"
        )));
    }
    let rights = match role {
        Role::Signin => SIGNIN,
        Role::Operator => OPERATOR,
        Role::Auditor => AUDITOR,
        Role::Messages => MESSAGES,
        Role::None => "",
    };
    may_grant(engine)?;
    let usage = match role {
        Role::None => "",
        _ => "GRANT USAGE ON SCHEMA smtpcred TO {to};",
    };
    let quoted = format!("\"{}\"", to.replace('"', "\"\""));
    let sql = [NOTHING, usage, rights].concat().replace("{to}", &quoted);
    let there = format!("SELECT to_regrole({}) IS NOT NULL", literal(&quoted));
    let there = engine.ask(|connection| connection.simple(&there))?;
    if there.first().is_none_or(|there| there != "t") {
        return Err(Error::Usage(format!(
            "there is no database user {}",
            escaped(to)
        )));
    }
    engine.ask(|connection| connection.simple(&sql)).map(|_| ())
}

fn may_grant(engine: &mut Postgres) -> Result<()> {
    const NEEDED: &str = "SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, current_user)
        FROM pg_catalog.pg_namespace WHERE nspname IN ('smtpcred', 'smtpcred_audit')
            AND NOT has_schema_privilege(oid, 'USAGE WITH GRANT OPTION') ORDER BY 1";
    if schema::missing(engine)?
        .iter()
        .any(|name| name.contains("smtpcred_audit"))
    {
        return Err(Error::StoreUnfit {
            store: (&engine.store).into(),
            reason: "its schema smtpcred_audit, which auditors read, is missing".into(),
            cure: "the owner of the tables creates it again with: smtpcred store migrate".into(),
        });
    }
    let said = engine.ask(|connection| connection.simple(NEEDED))?;
    let cure = statements(&said);
    if cure.is_none() {
        return Ok(());
    }
    Err(Error::StoreForbidden {
        store: (&engine.store).into(),
        reason: "its schemas belong to another database user".into(),
        cure,
    })
}

/// A string for SQL, whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{text}'")
}
