//! Who may do what, for roles with least rights.

use super::Postgres;
use crate::error::{Error, Result};
use crate::model::role::Role;
use crate::model::text::quoted as escaped;

/// What `serve` does: it reads what decides, and writes what it finds out; of a
/// password only what an upgrade of its hash and its retirement change. It suspends who
/// has met a limit; that nobody is brought back by it a trigger sees to.
const SIGNIN: &str = "
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred TO {to};
    GRANT INSERT ON smtpcred.events TO {to};
    GRANT INSERT, UPDATE, DELETE ON smtpcred.last_connections, smtpcred.counts,
        smtpcred.recipients, smtpcred.usage, smtpcred.failures TO {to};
    GRANT UPDATE (hash, retires_at, retiring_since, retire_latest) ON smtpcred.passwords TO {to};
    GRANT UPDATE (expiry_told, suspended_at) ON smtpcred.users TO {to};
    GRANT UPDATE (settles_at, began_at) ON smtpcred.rotations TO {to};";

/// No statement changes an event or deletes one.
const OPERATOR: &str = "
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA smtpcred TO {to};
    REVOKE INSERT, UPDATE, DELETE ON smtpcred.store FROM {to};
    REVOKE UPDATE, DELETE ON smtpcred.events FROM {to};";

const AUDITOR: &str = "
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred TO {to};
    REVOKE SELECT ON smtpcred.passwords, smtpcred.dovecot_users, smtpcred.dovecot_overlap
        FROM {to};
    GRANT USAGE ON SCHEMA smtpcred_audit TO {to};
    GRANT SELECT ON ALL TABLES IN SCHEMA smtpcred_audit TO {to};";

/// A role takes the place of the one before.
const NOTHING: &str = "
    REVOKE ALL ON ALL TABLES IN SCHEMA smtpcred, smtpcred_audit FROM {to};
    REVOKE ALL (hash, retires_at, retiring_since, retire_latest) ON smtpcred.passwords FROM {to};
    REVOKE ALL (expiry_told, suspended_at) ON smtpcred.users FROM {to};
    REVOKE ALL (settles_at, began_at) ON smtpcred.rotations FROM {to};
    REVOKE ALL ON SCHEMA smtpcred, smtpcred_audit FROM {to};";

pub fn grant(engine: &mut Postgres, role: Role, to: &str) -> Result<()> {
    if to.is_empty() || to.contains('\0') || to.eq_ignore_ascii_case("public") {
        return Err(Error::Usage(
            "roles are given to one database user, by its name".into(),
        ));
    }
    let own = engine.ask(|wire| wire.simple("SELECT current_user"))?;
    if own.first().is_some_and(|own| own == to) {
        return Err(Error::Usage(format!(
            "{to} is who gives rights here: its own stay as they are"
        )));
    }
    let rights = match role {
        Role::Signin => SIGNIN,
        Role::Operator => OPERATOR,
        Role::Auditor => AUDITOR,
        Role::None => "",
    };
    let usage = match role {
        Role::None => "",
        _ => "GRANT USAGE ON SCHEMA smtpcred TO {to};",
    };
    let quoted = format!("\"{}\"", to.replace('"', "\"\""));
    let sql = [NOTHING, usage, rights].concat().replace("{to}", &quoted);
    let there = format!("SELECT to_regrole({}) IS NOT NULL", literal(&quoted));
    let there = engine.ask(|wire| wire.simple(&there))?;
    if there.first().is_none_or(|there| there != "t") {
        return Err(Error::Usage(format!(
            "there is no database user {}",
            escaped(to)
        )));
    }
    engine.ask(|wire| wire.simple(&sql)).map(|_| ())
}

/// A string for SQL, whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{text}'")
}
