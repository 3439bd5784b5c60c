//! Lists the templates in `src/cli/snippets`, so that adding a client is adding a
//! file. (A macro such as `include_dir!` would not notice a new one.)

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    const FOLDER: &str = "src/cli/snippets";
    println!("cargo::rerun-if-changed={FOLDER}");
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(&root).join(FOLDER))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort();
    let mut list = "[\n".to_owned();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        // Where the folder is when it is compiled: it may have been moved since.
        let file = format!("/{FOLDER}/{name}.txt");
        writeln!(
            list,
            "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {file:?}))),"
        )?;
    }
    list.push(']');
    let out = Path::new(&env::var("OUT_DIR")?).join("snippets.rs");
    fs::write(out, list)?;
    Ok(())
}
