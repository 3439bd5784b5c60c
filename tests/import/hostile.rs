//! Files that are meant to do harm: refused, by no more than 64 MiB and no panic.

use std::fmt::Write as _;
use std::fs;

use crate::support::{self, Sandbox};

/// Cheap generator of the same bytes each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn hostile_rows_are_refused_without_a_panic_and_in_little_memory() {
    const PIECES: [&str; 24] = [
        "a@example.com",
        ",",
        "\"",
        "\n",
        ":",
        "|",
        "{",
        "}",
        "[",
        "]",
        "null",
        "$2y$31$",
        "$6$rounds=999999999$",
        "$argon2id$v=19$m=4294967295,t=4294967295,p=1$",
        "$y$jzzzzz$",
        "$scrypt$ln=63,r=8,p=1$",
        "{PBKDF2}$1$a$4294967295$",
        "INSERT INTO mailbox VALUES(",
        "CREATE TABLE `passwords` (",
        "');",
        "\\",
        "\u{0}",
        "\u{202e}",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
    ];
    let sandbox = Sandbox::new();
    let mut noise = Noise(88_172_645_463_325_252);
    let hostile = |noise: &mut Noise, rows: usize| {
        let mut text = Vec::new();
        for _ in 0..rows {
            for _ in 0..noise.next() % 12 {
                let piece = PIECES[usize::try_from(noise.next() % 24).unwrap()];
                text.extend_from_slice(piece.as_bytes());
                if noise.next().is_multiple_of(9) {
                    text.push((noise.next() & 0xff) as u8);
                }
            }
            text.push(b'\n');
        }
        text
    };
    for format in [
        "csv",
        "json",
        "dovecot-passwd",
        "postfixadmin",
        "htpasswd",
        "maddy",
        "docker-mailserver",
        "sasldb",
        "mailgun-json",
    ] {
        let mut text: Vec<u8> = match format {
            "csv" => b"username,hash,limits,senders\n".to_vec(),
            "json" | "mailgun-json" => b"[".to_vec(),
            "sasldb" => b"VERSION=3\nHEADER=END\n".to_vec(),
            _ => Vec::new(),
        };
        text.extend(hostile(&mut noise, 10_000));
        // One row that never ends.
        text.extend(b"\"'");
        text.extend(std::iter::repeat_n(b'x', 70_000_000));
        refused_in_little_memory(&sandbox, format, text);
    }
}

fn refused_in_little_memory(sandbox: &Sandbox, format: &str, text: Vec<u8>) {
    let path = sandbox.folder.path().join("hostile");
    fs::write(path, &text).unwrap();
    drop(text);
    let script = "ulimit -v 400000; exec \"$0\" \"$@\"";
    let args = [
        "-c",
        script,
        support::PROGRAM,
        "user",
        "import",
        "hostile",
        "--from",
        format,
        "--domain",
        "example.com",
        "--json",
    ];
    let mut command = sandbox.other_command("/usr/bin/time", &["-f", "%M", "sh"]);
    let output = command.args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let peak: u64 = stderr.lines().last().unwrap().parse().unwrap();
    assert_eq!(output.status.code(), Some(2), "{format}: {stderr}");
    assert!(!stderr.contains("panicked"), "{format}: {stderr}");
    assert!(peak < 64 * 1024, "{format}: {peak} KiB");
    assert!(
        sandbox
            .json(&["user", "list"])
            .as_array()
            .unwrap()
            .is_empty(),
        "{format}"
    );
}

#[test]
fn no_part_of_a_dump_takes_more_memory_where_it_never_ends() {
    let sandbox = Sandbox::new();
    let values = "CREATE TABLE mailbox (username text, password text); INSERT INTO mailbox VALUES ";
    for (begin, on) in [
        ("", "('a',"),
        ("(", "'x' "),
        ("(E'", "\\"),
        ("; CREATE TABLE mailbox (", "a,"),
        ("; INSERT INTO mailbox (", "[a],"),
        ("; $x$", "$y$"),
        ("; [", "]]"),
        ("; /*", "**"),
        ("; ", "-- MySQL dump\n"),
        ("; DELIMITER $$\n", "DELIMITER $$\n"),
    ] {
        let mut text = format!("{values}{begin}").into_bytes();
        text.extend(on.repeat(66_000_000 / on.len()).as_bytes());
        refused_in_little_memory(&sandbox, "postfixadmin", text);
    }
    let mut text = String::from("VERSION=3\nHEADER=END\n");
    let long = "x".repeat(270);
    for i in 0..220_000 {
        let key = format!("{long}{i}\\00example.com\\00cmusaslsecretOTP");
        writeln!(text, " {key}\n 1").unwrap();
    }
    refused_in_little_memory(&sandbox, "sasldb", text.into_bytes());
}
