//! What fuzzing found worth keeping, under `fuzz/corpus`, once more: each file
//! by the same functions, with the compiler that everybody has.

#[path = "../../fuzz/harness.rs"]
mod harness;

use std::path::Path;

fn each(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("a corpus") {
        let path = entry.expect("a file").path();
        let data = std::fs::read(&path).expect("readable");
        let held = std::panic::catch_unwind(|| run(&data));
        assert!(held.is_ok(), "with {}", path.display());
        // Cut off anywhere, too.
        let _ = (0..data.len().min(300))
            .map(|end| run(&data[..end]))
            .count();
        files += 1;
    }
    assert!(files >= 10, "{target} has only {files} files");
}

#[test]
fn auth() {
    each("auth", harness::auth);
}

#[test]
fn policy() {
    each("policy", harness::policy);
}

#[test]
fn http() {
    each("http", harness::http);
}

#[test]
fn sasl() {
    each("sasl", harness::sasl);
}

#[test]
fn phc() {
    each("phc", harness::phc);
}

#[test]
fn dns() {
    each("dns", harness::dns);
}

#[test]
fn plan() {
    each("plan", harness::plan);
}

#[test]
fn csv() {
    each("csv", harness::csv);
}

#[test]
fn json() {
    each("json", harness::json);
}

#[test]
fn passwd() {
    each("passwd", harness::passwd);
}

#[test]
fn sasldb() {
    each("sasldb", harness::sasldb);
}

#[test]
fn sql() {
    each("sql", harness::sql);
}

#[test]
fn hash() {
    each("hash", harness::hash);
}

#[test]
fn postfix_log() {
    each("postfix_log", harness::postfix_log);
}

#[test]
fn exim_log() {
    each("exim_log", harness::exim_log);
}
