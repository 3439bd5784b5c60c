//! Maps PostgreSQL's error codes to their meaning for the store
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use crate::model::text;

/// What an error of the server means for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Another session holds the lock.
    Busy,
    Full,
    Forbidden,
    /// Its tables are missing.
    Missing,
    /// The rules of the tables forbid the change.
    Ruled,
    /// Stored data cannot be read any more.
    Damaged,
    /// A prepared statement is missing, or another one has its name: the session is not the
    /// one in which it was prepared.
    Exchanged,
    /// The server does not accept this client now.
    Unreachable,
    /// The same statement may succeed later.
    Passes,
    /// The same statement fails again.
    Fails,
}

/// Returns the meaning of an SQLSTATE code.
pub fn meaning(code: &str) -> Meaning {
    match code {
        "55P03" => Meaning::Busy,
        "53100" => Meaning::Full,
        "42501" => Meaning::Forbidden,
        "42P01" | "3F000" => Meaning::Missing,
        // Corrupt pages and indexes, and a disk that cannot be read. A missing file (58P01)
        // may be a library's.
        "XX001" | "XX002" | "58030" => Meaning::Damaged,
        "26000" | "42P05" => Meaning::Exchanged,
        // The database does not exist; all connections are in use.
        "3D000" | "53300" => Meaning::Unreachable,
        // An operator cancelled it, or a time limit.
        "57014" => Meaning::Passes,
        // RAISE in a trigger.
        "P0001" => Meaning::Ruled,
        _ => match code.get(..2).unwrap_or_default() {
            "23" | "44" => Meaning::Ruled,
            // Connections, authentication, a shutdown. Poolers use 08, too.
            "08" | "28" | "57" => Meaning::Unreachable,
            // The state of the transaction, including a standby's; deadlocks; resources;
            // objects in use; system errors; a fault of PostgreSQL.
            "25" | "40" | "53" | "55" | "58" | "XX" => Meaning::Passes,
            _ => Meaning::Fails,
        },
    }
}

/// Formats the server's words on one line.
pub fn said(code: &str, message: &str, detail: Option<&str>, hint: Option<&str>) -> String {
    // The detail of these contains the whole row, including the hash.
    const WITH_ROW: [&str; 3] = ["23502", "23514", "44000"];
    let detail = detail.filter(|_| !WITH_ROW.contains(&code));
    let parts = [Some(message), detail, hint];
    let parts = parts.into_iter().flatten().map(|part| {
        let words: Vec<_> = part.split_whitespace().collect();
        text::escaped(&words.join(" "))
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_damage_is_called_damage() {
        let damage = ["XX001", "XX002", "58030"];
        for code in damage {
            assert_eq!(meaning(code), Meaning::Damaged, "{code}");
        }
        for (codes, means) in [
            (&["55P03"][..], Meaning::Busy),
            (&["53100"], Meaning::Full),
            (&["42501"], Meaning::Forbidden),
            (&["42P01", "3F000"], Meaning::Missing),
            (
                &[
                    "23505", "23503", "23502", "23514", "23P01", "44000", "P0001",
                ],
                Meaning::Ruled,
            ),
            (&["26000", "42P05"], Meaning::Exchanged),
            (
                &[
                    "08006", "08P01", "28P01", "28000", "3D000", "53300", "57P01", "57P03",
                ],
                Meaning::Unreachable,
            ),
            (
                &[
                    "40001", "40P01", "25006", "25P02", "25P03", "53200", "57014", "55006",
                    "58000", "58P01", "XX000",
                ],
                Meaning::Passes,
            ),
            (
                &[
                    "22021", "22P05", "22P02", "22003", "42601", "42703", "42883", "42804",
                    "0A000", "21000", "54000", "54001", "", "é",
                ],
                Meaning::Fails,
            ),
        ] {
            for code in codes {
                assert_eq!(meaning(code), means, "{code}");
            }
        }
    }

    #[test]
    fn what_the_database_says_is_told_as_it_is() {
        let key = "Key (username)=(a@b.c) already exists.";
        assert_eq!(
            said("23505", "duplicate key", Some(key), None),
            format!("duplicate key; {key}")
        );
        let text = said("22P05", "a\nb\u{1b}[2J", Some("c"), Some("d  e\t"));
        assert_eq!(text, "a b\\u{1b}[2J; c; d e");
    }

    #[test]
    fn p1_no_hash_is_repeated() {
        let row = Some("Failing row contains (a, $argon2id$v=19$secret).");
        for code in ["23502", "23514", "44000"] {
            assert_eq!(said(code, "violated", row, Some("look")), "violated; look");
        }
    }
}
