//! The folders below `src` are layers, and names point downwards only. One folder
//! prints, and one has SQL.
//! Long, because each rule is also shown to fail.

use crate::support::source;
use crate::support::source::{NamedPath, Source, resolved};

/// From top to bottom, each with those it may name beside itself. `model` and
/// `error` are named by everybody; `error` names nobody.
const LAYERS: [(&str, &[&str]); 17] = [
    (
        "cli",
        &[
            "setup", "serve", "follow", "scan", "deliver", "doctor", "smtp", "dns", "app", "store",
            "files", "host",
        ],
    ),
    ("setup", &["doctor", "app", "smtp", "store", "files"]),
    ("doctor", &["app", "smtp", "protocol", "store", "files"]),
    ("deliver", &["app", "smtp", "files"]),
    ("serve", &["app", "protocol", "files"]),
    ("follow", &["app", "store", "formats", "files"]),
    ("scan", &["files"]),
    ("app", &["store", "formats"]),
    ("store", &["files", "tls"]),
    ("formats", &[]),
    ("protocol", &[]),
    ("smtp", &["tls"]),
    ("dns", &[]),
    ("files", &[]),
    ("host", &[]),
    ("tls", &[]),
    ("model", &[]),
];

/// The folder of what prints and asks.
const PRINTS: &str = "cli/terminal/";

/// What a file names that is not below it. `*` is the whole crate, behind which a name
/// could hide.
fn upward(source: &Source) -> Vec<String> {
    let module = source.module();
    let own = module.first().map_or("", String::as_str);
    let known = |layer: &str| LAYERS.iter().find(|(name, _)| *name == layer);
    let may_name = known(own).map(|(_, may_name)| *may_name);
    let mut found = Vec::new();
    for path in source.paths() {
        let Some(target) = resolved(&path) else {
            continue;
        };
        let named = match target.first() {
            Some(layer) if known(layer).is_some() => *layer,
            None if path.is_glob || path.is_renamed => "*",
            _ => continue,
        };
        let downward = match may_name {
            // It names whom it likes: lib.rs and main.rs.
            None if own.is_empty() => true,
            // error.rs
            None => false,
            Some(below) => named == own || named == "model" || below.contains(&named),
        };
        if !downward {
            found.push(named.to_owned());
        }
    }
    found
}

/// How a file would print. Whether a stream is a terminal may be asked anywhere.
fn prints(source: &Source) -> Vec<String> {
    const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
    const STREAMS: [&str; 6] = [
        "stdout",
        "stderr",
        "Stdout",
        "Stderr",
        "StdoutLock",
        "StderrLock",
    ];
    let stream = |path: &NamedPath| {
        let last = path.segments.last().map(String::as_str);
        let of_io = path.segments.iter().any(|s| s == "io" || s == "stdio");
        let asks = path.then.as_deref() == Some("is_terminal");
        match last {
            Some("stdout" | "stderr") if path.call.as_deref() == Some("") => {
                !path.is_method && !asks
            }
            Some(last) => of_io && !asks && (STREAMS.contains(&last) || path.is_glob),
            None => false,
        }
    };
    let printer = |path: &NamedPath| {
        let last = path.segments.last().map_or("", String::as_str);
        let by_macro = path.is_macro && MACROS.contains(&last);
        // Of clap, which prints by itself.
        let by_clap = path.is_method
            && (last == "print" && path.call.as_deref() == Some("")
                || ["print_help", "print_long_help"].contains(&last));
        by_macro || by_clap || stream(path)
    };
    let found = source.paths().into_iter().filter(printer);
    let mut found: Vec<String> = found.map(|path| path.segments.join("::")).collect();
    let text = source.tokens.to_string();
    for file in ["/dev/std", "/dev/tty", "/dev/fd/", "/proc/self/fd/1"] {
        found.extend(text.contains(file).then(|| file.to_owned()));
    }
    found
}

/// lib.rs draws the same arrows.
#[test]
fn the_picture_is_complete() {
    let picture = include_str!("../../src/lib.rs").lines();
    let drawn = picture.filter_map(|line| line.strip_prefix("//! ")?.split_once(" -> "));
    let drawn: Vec<_> = drawn
        .map(|(layer, below)| (layer.trim(), below.split(", ").collect::<Vec<_>>()))
        .collect();
    let tested = LAYERS.iter().filter(|(_, below)| !below.is_empty());
    let tested: Vec<_> = tested
        .map(|(layer, below)| (*layer, below.to_vec()))
        .collect();
    assert_eq!(drawn, tested);
}

#[test]
fn names_point_downwards() {
    for source in source::all() {
        assert_eq!(upward(&source), [""; 0], "{} names them", source.name);
    }
}

#[test]
fn one_folder_prints() {
    for source in source::all() {
        if !source.name.starts_with(PRINTS) {
            assert_eq!(prints(&source), [""; 0], "{} prints", source.name);
        }
    }
}

#[test]
fn sql_is_written_in_the_store() {
    for source in source::all() {
        if source.name.starts_with("store/") {
            continue;
        }
        let text = source.tokens.to_string();
        for word in ["rusqlite", "INSERT INTO", "DELETE FROM"] {
            assert!(!text.contains(word), "{} has {word}", source.name);
        }
    }
}

/// Each way to name what is above is seen.
#[test]
fn no_way_up_is_missed() {
    for (name, text) in [
        ("store/users.rs", "use crate::cli::output;"),
        ("store/users.rs", "use crate::{app, error};"),
        ("store/users.rs", "use crate::{error, app};"),
        (
            "store/users.rs",
            "use crate::{error::{Error}, model::{name}, app::users::{Expiry}};",
        ),
        ("store/users.rs", "use super::super::app::App;"),
        (
            "store/users.rs",
            "use super::super::{error::Error, app::App};",
        ),
        ("store/users.rs", "fn f() { super::super::app::f() }"),
        ("store/users.rs", "fn f() { crate :: app :: f() }"),
        ("store/mod.rs", "use super::serve;"),
        ("store/sqlite/open.rs", "use super::super::super::cli;"),
        (
            "store/users.rs",
            "mod tests { use super::super::super::app; }",
        ),
        (
            "store/users.rs",
            "fn f() -> String { format!(\"{}\", crate::app::NAME) }",
        ),
        ("store/users.rs", "use self::super::super::app;"),
        ("store/users.rs", "use crate as all;"),
        ("store/users.rs", "use crate::{self as all};"),
        ("store/users.rs", "use crate::*;"),
        ("store/mod.rs", "use super::*;"),
        ("store/users.rs", "use smtpcred::app;"),
        ("app/mod.rs", "pub use crate::deliver;"),
        ("error.rs", "use crate::model::name;"),
        ("error.rs", "use super::model;"),
    ] {
        assert_eq!(upward(&Source::new(name, text)).len(), 1, "{name}: {text}");
    }
    for (name, text) in [
        (
            "store/users.rs",
            "use super::sqlite; use crate::{error::Error, model};",
        ),
        (
            "store/users.rs",
            "// crate::app\nconst A: &str = \"crate::app\";",
        ),
        (
            "store/users.rs",
            "mod tests { use super::*; } pub(crate) struct A;",
        ),
        (
            "app/users.rs",
            "use super::super::store; use crate::application;",
        ),
        ("main.rs", "use smtpcred::cli;"),
    ] {
        assert_eq!(upward(&Source::new(name, text)), [""; 0], "{name}: {text}");
    }
}

/// Each way to print is seen.
#[test]
fn no_way_to_print_is_missed() {
    for text in [
        "fn f() { println!(\"x\") }",
        "fn f() { print!(\"x\") }",
        "fn f() { eprintln!(\"x\") }",
        "fn f() { eprint!(\"x\") }",
        "fn f() { std::println!(\"x\") }",
        "fn f() { dbg!(1); }",
        "fn f() { io::stdout().write_all(b\"x\") }",
        "fn f() { io::stderr().write_all(b\"x\") }",
        "fn f() { std::io::stderr().lock() }",
        "fn f() { let a = io::stdout().is_terminal(); io::stdout().flush() }",
        "fn f() { writeln!(io::stderr(), \"x\") }",
        "use std::io::stderr;",
        "use std::{fs, io::{self, Stdout}};",
        "use std::io::*;",
        "use std::io as other; fn f() { other::stderr().flush() }",
        "struct A { to: io::StdoutLock<'static> }",
        "fn f() { rustix::stdio::stdout() }",
        "fn f() { error.print() }",
        "fn f() { command.print_help() }",
        "fn f() { Term::stderr() }",
        "fn f() { File::create(\"/dev/stderr\") }",
        "fn f() { File::create(\"/dev/tty\") }",
    ] {
        let source = Source::new("app/users.rs", text);
        assert_eq!(prints(&source).len(), 1, "{text}: {:?}", prints(&source));
    }
    for text in [
        "// println!\nconst A: &str = \"eprintln!\";",
        "fn f() { if io::stdout().is_terminal() {} }",
        "fn f() { command.stdout(Stdio::null()).stderr(theirs); child.stdout.take(); }",
        "use super::stdout::Stdout; fn f() { record.print(&mut out) }",
    ] {
        assert_eq!(prints(&Source::new("app/a.rs", text)), [""; 0], "{text}");
    }
}

/// Where paths are touched outside of `files`, by file or folder, and why that is no
/// harm. Each has to be needed.
const TOUCH_PATHS: [(&str, &str); 18] = [
    (
        "cli/terminal/clipboard/",
        "of /proc and the caller's own terminal",
    ),
    ("host.rs", "of /proc"),
    (
        "cli/context.rs",
        "names the store, and opens nothing by that name",
    ),
    ("cli/terminal/stdout.rs", "/dev/null"),
    ("cli/terminal/tty.rs", "/dev/tty"),
    (
        "deliver/command.rs",
        "of /proc; and whether a program is there, which the system starts by its name",
    ),
    ("doctor/", "looks at what is there, and changes nothing"),
    ("serve/metrics_thread.rs", "of /proc"),
    ("serve/restart.rs", "this program itself"),
    ("serve/sealed_memory.rs", "of /proc"),
    (
        "serve/sockets.rs",
        "a socket is bound to a path; what has it then is asked",
    ),
    (
        "store/before_changes.rs",
        "a folder of its own with a name that nobody could know before",
    ),
    ("store/one_store/", "judges whether SQLite may open it"),
    (
        "store/postgres/socket.rs",
        "the socket of a server that the URL names",
    ),
    (
        "store/postgres/conn_url.rs",
        "looks whether a server's socket or a file of its client is there",
    ),
    (
        "store/postgres/tls.rs",
        "certificates that the caller names, for the TLS library",
    ),
    (
        "store/sqlite/",
        "SQLite opens its files by path; rights.rs judges who can exchange them",
    ),
    ("files/", "the place for it"),
];

/// Calls and imports that take a path, or a name below one.
fn touches_paths(source: &Source) -> Vec<String> {
    // Of what is open already.
    const BY_DESCRIPTOR: [&str; 5] = ["self", "fstat", "fchown", "fchmod", "fsync"];
    const CONSTRUCTORS: [&str; 5] = ["new", "open", "options", "create", "create_new"];
    const METHODS: [&str; 6] = [
        "canonicalize",
        "exists",
        "read_dir",
        "read_link",
        "symlink_metadata",
        "try_exists",
    ];
    const METHODS_OF_FILES_TOO: [&str; 4] = ["is_dir", "is_file", "is_symlink", "metadata"];
    const PATHS: [&str; 6] = ["dir", "folder", "home", "path", "real", "there"];
    const CALLS: [&str; 22] = [
        "access",
        "chdir",
        "chown",
        "chroot",
        "faccessat",
        "fchmodat",
        "fchownat",
        "link",
        "linkat",
        "mkdir",
        "mkdirat",
        "mkfifo",
        "open",
        "openat",
        "openat2",
        "rename",
        "renameat",
        "renameat2",
        "symlinkat",
        "truncate",
        "unlink",
        "unlinkat",
    ];
    let touches = |path: &NamedPath| {
        let mut segments = path.segments.iter().rev().map(String::as_str);
        let last = segments.next().unwrap_or_default();
        let of = segments.next().unwrap_or_default();
        let is_function = last.starts_with(char::is_lowercase);
        if path.is_method {
            let receiver = path.receiver.as_deref().unwrap_or_default();
            return path.call.is_some()
                && (METHODS.contains(&last)
                    || METHODS_OF_FILES_TOO.contains(&last) && PATHS.contains(&receiver));
        }
        if path.is_glob {
            return ["fs", "fcntl", "unistd", "stat"].contains(&last);
        }
        match of {
            "fs" => is_function && !BY_DESCRIPTOR.contains(&last),
            "File" | "OpenOptions" | "DirBuilder" => CONSTRUCTORS.contains(&last),
            "Path" | "PathBuf" => METHODS.contains(&last) || METHODS_OF_FILES_TOO.contains(&last),
            "UnixListener" | "UnixDatagram" | "UnixStream" => ["bind", "connect"].contains(&last),
            "fcntl" | "unistd" | "stat" => CALLS.contains(&last),
            _ => ["from_pem_file", "pem_file_iter"].contains(&last),
        }
    };
    let paths = source.paths();
    let outside_tests = |path: &&NamedPath| !path.within.iter().any(|module| module == "tests");
    let found = paths
        .iter()
        .filter(outside_tests)
        .filter(|path| touches(path));
    found.map(|path| path.segments.join("::")).collect()
}

#[test]
fn p14_paths_are_touched_in_files_and_nowhere_else() {
    let mut needed = std::collections::HashSet::new();
    for source in source::all() {
        let calls = touches_paths(&source);
        if calls.is_empty() {
            continue;
        }
        let allowed = TOUCH_PATHS
            .iter()
            .find(|(at, _)| source.name.starts_with(at));
        let (at, _) = allowed.unwrap_or_else(|| panic!("{} touches {calls:?}", source.name));
        needed.insert(*at);
    }
    for (at, why) in TOUCH_PATHS {
        assert!(needed.contains(at), "{at} touches none: {why}");
    }
}

#[test]
fn calls_that_take_a_path_are_recognised() {
    let touches = |text: &str| touches_paths(&Source::new("app/new.rs", text));
    for call in [
        "fn f() { fs::write(path, text); }",
        "fn f() { std::fs::remove_file(&beside); }",
        "use std::fs::{self, rename};",
        "use std::fs::*;",
        "fn f() { let file = File::open(path)?; }",
        "fn f() { OpenOptions::new().write(true); }",
        "fn f() { File::options(); }",
        "fn f() { if path.exists() {} }",
        "fn f() { folder().try_exists() }",
        "fn f() { folder.canonicalize() }",
        "fn f() { path.is_dir() }",
        "fn f() { found.filter(|path| path.is_file()) }",
        "fn f() { paths.filter(Path::is_file) }",
        "fn f() { UnixListener::bind(&path) }",
        "fn f() { UnixStream::connect(path) }",
        "use nix::unistd::{access, geteuid};",
        "fn f() { nix::unistd::unlinkat(at, name, flag) }",
        "use nix::fcntl::open;",
        "fn f() { rustix::fs::openat(at, name, flags, mode) }",
        "use std::os::unix::fs::{MetadataExt as _, chown};",
        "fn f() { DirBuilder::new() }",
        "fn f() { PrivateKeyDer::from_pem_file(key) }",
    ] {
        assert!(!touches(call).is_empty(), "{call}");
    }
    for other in [
        "fn f() { file.metadata()?.is_file() }",
        "fn f() { rustix::fs::fstat(&socket) }",
        "// fs::write(path, text)",
        "fn f() { Folder::open(path) }",
        "fn f() { files::open(path) }",
        "use std::fs::{self, File};",
        "mod tests { fn f() { fs::write(path, text) } }",
    ] {
        assert_eq!(touches(other), [""; 0], "{other}");
    }
}
