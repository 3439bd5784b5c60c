use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::*;

/// A deterministic generator (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    // All connections are in one thread, which would wait for itself.
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection
        .execute_batch("PRAGMA cache_size = 20; PRAGMA journal_mode = WAL; SELECT * FROM t")
        .unwrap();
    connection
}

fn judged(store: &File, log: &Path, checkpointed: u64) -> bool {
    let mut page = [0; HEADER];
    store.read_exact_at(&mut page, 0).unwrap();
    let Ok(log) = File::open(log) else {
        return true;
    };
    let read = |buffer: &mut [u8], offset| filled(store, buffer, offset);
    is_of(&log, &Header(page), &read, checkpointed).unwrap()
}

/// Other programs use the store without these marks, and are killed.
#[test]
fn a_log_of_the_same_file_is_never_refused() {
    const DEEDS: [&str; 14] = [
        "BEGIN IMMEDIATE; UPDATE t SET b = b + 1; PRAGMA application_id = 7; COMMIT",
        "BEGIN IMMEDIATE; UPDATE t SET b = b + 1; PRAGMA application_id = 7; COMMIT",
        "PRAGMA shrink_memory",
        "UPDATE t SET b = b + 1",
        "INSERT INTO t (b, c) SELECT 1, randomblob(900) FROM t, t LIMIT 30",
        "BEGIN; INSERT INTO t (b, c) SELECT 1, randomblob(900) FROM t, t LIMIT 30; ROLLBACK",
        "DELETE FROM t WHERE a > 20",
        "CREATE INDEX IF NOT EXISTS i ON t (b)",
        "DROP INDEX IF EXISTS i",
        "VACUUM",
        "PRAGMA incremental_vacuum(3)",
        "PRAGMA wal_checkpoint(PASSIVE)",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ];
    let mut compared = 0;
    for seed in 1..=6_u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let new = Connection::open(&path).unwrap();
        new.execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL;
            CREATE TABLE t (a INTEGER PRIMARY KEY, b, c);
            INSERT INTO t (b) VALUES (1), (2), (3);",
        )
        .unwrap();
        if seed % 2 == 0 {
            new.execute_batch("PRAGMA schema_version = 123456789")
                .unwrap();
        }
        drop(new);
        // Closing it would release SQLite's locks.
        let store = File::open(&path).unwrap();
        let log = folder.path().join("s.db-wal");
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut open_ones = vec![open(&path), open(&path)];
        for _ in 0..80 {
            let i = usize::try_from(dice.below(open_ones.len() as u64)).unwrap();
            match dice.below(20) {
                0 if open_ones.len() > 1 => drop(open_ones.swap_remove(i)),
                1 if open_ones.len() < 4 => open_ones.push(open(&path)),
                // A reader that blocks checkpoints.
                2 => {
                    let _ = open_ones[i].execute_batch("BEGIN; SELECT * FROM t LIMIT 1");
                }
                3 | 4 => {
                    let _ = open_ones[i].execute_batch("ROLLBACK");
                }
                _ => {
                    let deed = DEEDS[usize::try_from(dice.below(14)).unwrap()];
                    let _ = open_ones[i].execute_batch(deed);
                    if deed.starts_with("BEGIN") && !open_ones[i].is_autocommit() {
                        let _ = open_ones[i].execute_batch("ROLLBACK");
                    }
                }
            }
            let free = open_ones.iter().find(|one| one.is_autocommit());
            let checkpointed = free.map_or(0, |free| {
                let frames = free.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
                    row.get::<_, i64>(2)
                });
                frames.unwrap_or(0).max(0).unsigned_abs()
            });
            assert!(judged(&store, &log, checkpointed), "seed {seed}");
            // A power failure: frames that were not synced may be missing.
            let whole = fs::read(&log).unwrap_or_default();
            let kept = LOG_HEADER as u64 + checkpointed * (FRAME_HEADER as u64 + 4096);
            if free.is_some() && whole.len() as u64 >= kept {
                let rest = dice.below(whole.len() as u64 - kept + 1);
                let length = usize::try_from(kept + rest).unwrap();
                let cut = folder.path().join("cut");
                fs::write(&cut, &whole[..length]).unwrap();
                assert!(judged(&store, &cut, 0), "seed {seed}");
                compared += usize::from(rest > 4096);
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

/// SQLite does not increment the counter if no other program wrote in between.
#[test]
fn a_log_is_not_refused_for_what_lies_beyond_the_frames_that_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let new = Connection::open(&path).unwrap();
    new.execute_batch(
        "PRAGMA page_size = 512; CREATE TABLE t (a INTEGER PRIMARY KEY, b);
        PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0",
    )
    .unwrap();
    let store = File::open(&path).unwrap();
    let log = folder.path().join("s.db-wal");
    let rows = "INSERT INTO t (b) SELECT randomblob(400)
        FROM json_each('[' || replace(hex(zeroblob(750)), '00', '1,') || '1]')";
    new.execute_batch(rows).unwrap();
    let frame = (FRAME_HEADER + 512) as u64;
    while fs::metadata(&log).unwrap().len() < (MOST + 1000) * frame {
        new.execute_batch("UPDATE t SET b = randomblob(400)")
            .unwrap();
    }
    let checkpointed: i64 = new
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
        .unwrap();
    let checkpointed = checkpointed.unsigned_abs();
    assert!(checkpointed > MOST, "{checkpointed}");
    assert!(judged(&store, &log, checkpointed));
}
