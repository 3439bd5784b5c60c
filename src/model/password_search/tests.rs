use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::{BASE64, BASE64_MIME, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::*;
use crate::error::Result;
use crate::model::password::{Form, Password};

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands for a source that can fail"
)]
fn other_each_time(bytes: &mut [u8]) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    let mut hash = blake3::Hasher::new();
    hash.update(&next).finalize_xof().fill(bytes);
    Ok(())
}

fn found(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    let search = PasswordSearch::default();
    search.each(bytes, bytes.len(), &mut |it| {
        found.push((it.at, it.password.expose().to_vec()));
    });
    found
}

fn utf16(text: &[u8], big_endian: bool) -> Vec<u8> {
    let units = text
        .iter()
        .flat_map(|byte| if big_endian { [0, *byte] } else { [*byte, 0] });
    units.collect()
}

/// Every way to write it, between other bytes.
fn forms(password: &str) -> Vec<Vec<u8>> {
    let bytes = password.as_bytes();
    let body = &password[FoundPassword::PREFIX.len()..];
    let mut forms = vec![
        bytes.to_vec(),
        utf16(bytes, false),
        utf16(bytes, true),
        bytes.iter().flat_map(|byte| [*byte, 0, 0, 0]).collect(),
        bytes.iter().flat_map(|byte| [0, 0, 0, *byte]).collect(),
        HEXLOWER.encode(bytes).into(),
        HEXUPPER.encode(bytes).into(),
        format!("{}=\r\n{}", &password[..20], &password[20..]).into(),
        format!("{}=\n{}", &password[..7], &password[7..]).into(),
    ];
    forms.extend(UNDERSCORES.map(|escaped| [b"smtpc", escaped, body.as_bytes()].concat()));
    for before in 0..7 {
        let text = [&b"\0shop@x"[..before], bytes, b":more"].concat();
        let encoded = BASE64.encode(&text);
        forms.push(encoded.clone().into());
        forms.push(BASE64URL_NOPAD.encode(&text).into());
        forms.push(BASE64_MIME.encode(&[&[b'x'; 30], &*text].concat()).into());
        forms.push(encoded.replace("NX", "\\nNX").into());
        forms.push(BASE64.encode(&utf16(&text, false)).into());
        forms.push(BASE64.encode(&utf16(&text, true)).into());
        for before in 0..4 {
            forms.push(
                BASE64
                    .encode(&[&b"abc"[..before], encoded.as_bytes()].concat())
                    .into(),
            );
        }
    }
    forms
}

#[test]
fn every_form_is_found_wherever_it_stands() {
    for _ in 0..20 {
        let password = Password::generate(Form::Full, other_each_time).unwrap();
        for form in forms(password.expose()) {
            for (before, after) in [("", ""), ("x=", "Z9"), ("\"", "\","), ("\u{0}é", "\n")] {
                let bytes = [before.as_bytes(), &form, after.as_bytes()].concat();
                let found = found(&bytes);
                assert_eq!(found.len(), 1, "{}", String::from_utf8_lossy(&bytes));
                assert!(found[0].1 == password.expose().as_bytes());
            }
        }
    }
}

#[test]
fn nothing_else_is_found() {
    let password = Password::generate(Form::Full, other_each_time).unwrap();
    let text = password.expose();
    let mut others = vec![
        text[1..].to_owned(),
        text[..35].to_owned(),
        text.to_uppercase(),
        text.to_lowercase().replace("smtpc_", "SMTPC_"),
        text.replace('_', "-"),
        format!("{}\n{}", &text[..20], &text[20..]),
        format!("{} {}", &text[..6], &text[6..]),
        "smtpc_".repeat(20),
        "smtpc".to_owned(),
        "c210cGNf".to_owned(),
    ];
    for at in 6..36 {
        let mut other = text.to_owned();
        let byte = if &text[at..=at] == "x" { "y" } else { "x" };
        other.replace_range(at..=at, byte);
        others.push(other);
    }
    for other in others.iter().map(String::as_bytes) {
        for form in [other, &utf16(other, true), BASE64.encode(other).as_bytes()] {
            assert!(found(form).is_empty(), "{}", String::from_utf8_lossy(form));
        }
    }
}

#[test]
fn each_of_many_is_found_at_its_place() {
    let passwords: Vec<Password> = (0..50)
        .map(|_| Password::generate(Form::Full, other_each_time).unwrap())
        .collect();
    let text: String = passwords.iter().map(Password::expose).collect();
    let found = found(text.as_bytes());
    assert_eq!(found.len(), 50);
    for (i, (at, _)) in found.iter().enumerate() {
        assert_eq!(*at, i * 36);
    }
    let mut before = 0;
    let search = PasswordSearch::default();
    search.each(text.as_bytes(), 36 * 7, &mut |_| before += 1);
    assert_eq!(before, 7);
}
