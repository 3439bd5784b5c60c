//! docs/schema.md names every table, view and column of a store.

use rusqlite::Connection;

use crate::support::Sandbox;

const DOC: &str = include_str!("../../docs/schema.md");
const COLUMNS: &str = "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
    WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite%'";

#[test]
fn the_schema_is_documented() {
    let sandbox = Sandbox::new();
    let store = Connection::open(sandbox.store()).unwrap();
    let mut statement = store.prepare(COLUMNS).unwrap();
    let columns = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let mut found = 0;
    for column in columns {
        let (table, column): (String, String) = column.unwrap();
        let is_view = table.starts_with("dovecot_");
        let named = DOC.lines().find(|line| {
            let place = if is_view { &column } else { &table };
            line.contains(&format!("`{place}`")) && line.contains(&format!("`{column}`"))
        });
        assert!(
            named.is_some(),
            "docs/schema.md: {table}.{column} is missing"
        );
        assert!(DOC.contains(&format!("`{table}`")), "{table}");
        found += 1;
    }
    assert!(found > 60, "{found} columns");
}
