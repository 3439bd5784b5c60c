//! The forms a password is printed in.

use std::io::Write as _;

use serde_json::json;
use zeroize::Zeroizing;

use crate::app::credential::Credential;
use crate::cli::settings::PortRecord;
use crate::error::{Error, Result};
use crate::model::settings::{Encryption, MECHANISMS};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Reveal {
    /// The password and a newline
    Line,
    /// The password alone, for tools that would keep a newline
    Raw,
    /// One document with all that is needed to sign in
    Json,
    /// SMTP_HOST, SMTP_USERNAME, SMTP_PASSWORD and others, one on each line
    Env,
    /// A Kubernetes Secret with the same
    K8s,
    /// smtp://user:password@host:port
    Url,
    /// Username, password and key id under a header
    Csv,
}

/// The forms in which many can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Json,
    Csv,
}

pub const CSV_HEADER: &str = "username,password,key_id\n";

/// Larger than any form of any password: a buffer that grows leaves copies.
const CAPACITY: usize = 16 * 1024;

pub fn render(reveal: Reveal, credential: &Credential) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(CAPACITY));
    let password = credential.password.expose();
    let written = match reveal {
        Reveal::Line => writeln!(out, "{password}"),
        Reveal::Raw => write!(out, "{password}"),
        Reveal::Json => json(&mut out, credential),
        Reveal::Env => env(&mut out, credential),
        Reveal::K8s => k8s(&mut out, credential),
        Reveal::Url => return url(out, credential),
        Reveal::Csv => csv(&mut out, credential),
    };
    written.map_err(|e| Error::Undeliverable(e.to_string()))?;
    Ok(out)
}

/// One of many on a line of its own, under [`CSV_HEADER`] where it is CSV.
pub fn line(form: Stream, credential: &Credential, out: &mut Vec<u8>) -> Result<()> {
    let written = match form {
        Stream::Json => members(out, credential, ["{", ",", ":", "}"]),
        Stream::Csv => csv_row(out, credential),
    };
    written.map_err(|e| Error::Undeliverable(e.to_string()))
}

fn json(out: &mut Vec<u8>, credential: &Credential) -> std::io::Result<()> {
    members(out, credential, ["{\n  ", ",\n  ", ": ", "\n}"])
}

fn members(
    out: &mut Vec<u8>,
    credential: &Credential,
    [begin, next, is, end]: [&str; 4],
) -> std::io::Result<()> {
    let connection = &credential.connection;
    // The password goes straight into the buffer, past any intermediate value.
    write!(out, "{begin}\"username\"{is}")?;
    serde_json::to_writer(&mut *out, credential.username.as_str())?;
    write!(out, "{next}\"password\"{is}")?;
    serde_json::to_writer(&mut *out, credential.password.expose())?;
    let rest = [
        ("key_id", json!(credential.key.as_str())),
        (
            "host",
            json!(connection.host.as_ref().map(ToString::to_string)),
        ),
        ("ports", json!(PortRecord::all(connection.ports))),
        ("auth", json!(MECHANISMS)),
        ("expires_at", json!(credential.expires_at)),
    ];
    for (name, value) in rest {
        write!(out, "{next}\"{name}\"{is}{value}")?;
    }
    writeln!(out, "{end}")
}

/// Names and values as they stand in an environment.
fn variables(credential: &Credential) -> Vec<(&'static str, String)> {
    let port = credential.connection.ports.recommended();
    let host = credential.connection.host.as_ref();
    host.map(|host| ("SMTP_HOST", host.to_string()))
        .into_iter()
        .chain([
            ("SMTP_PORT", port.number.to_string()),
            ("SMTP_ENCRYPTION", port.encryption.key().to_owned()),
            ("SMTP_USERNAME", credential.username.to_string()),
        ])
        .collect()
}

fn env(out: &mut Vec<u8>, credential: &Credential) -> std::io::Result<()> {
    for (name, value) in variables(credential) {
        writeln!(out, "{name}={value}")?;
    }
    let password = credential.password.expose();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.,:@%+/".contains(&b);
    if password.bytes().all(plain) {
        return writeln!(out, "SMTP_PASSWORD={password}");
    }
    // As a shell reads it, and .env files with quotes.
    write!(out, "SMTP_PASSWORD='")?;
    for part in password.split_inclusive('\'') {
        match part.strip_suffix('\'') {
            Some(before) => write!(out, "{before}'\\''")?,
            None => write!(out, "{part}")?,
        }
    }
    writeln!(out, "'")
}

/// <https://kubernetes.io/docs/concepts/configuration/secret/>
fn k8s(out: &mut Vec<u8>, credential: &Credential) -> std::io::Result<()> {
    // A DNS subdomain: letters, digits, dots and inner hyphens.
    let name: String = credential
        .username
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = format!("smtp-{name}");
    let name = name[..name.len().min(253)].trim_end_matches('-');
    writeln!(
        out,
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\ntype: Opaque\nstringData:"
    )?;
    // A JSON string is a YAML string.
    for (variable, value) in variables(credential) {
        writeln!(out, "  {variable}: {}", json!(value))?;
    }
    write!(out, "  SMTP_PASSWORD: ")?;
    serde_json::to_writer(&mut *out, credential.password.expose())?;
    writeln!(out)
}

fn url(mut out: Zeroizing<Vec<u8>>, credential: &Credential) -> Result<Zeroizing<Vec<u8>>> {
    let Some(host) = &credential.connection.host else {
        return Err(Error::HostNotSet("--reveal url"));
    };
    let port = credential.connection.ports.recommended();
    let scheme = match port.encryption {
        Encryption::Tls => "smtps",
        Encryption::StartTls => "smtp",
    };
    out.extend_from_slice(scheme.as_bytes());
    out.extend_from_slice(b"://");
    percent_encoded(&mut out, credential.username.as_str());
    out.push(b':');
    percent_encoded(&mut out, credential.password.expose());
    out.extend_from_slice(format!("@{host}:{}\n", port.number).as_bytes());
    Ok(out)
}

/// All but the unreserved characters of RFC 3986 §2.3.
fn percent_encoded(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend([
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
}

fn csv(out: &mut Vec<u8>, credential: &Credential) -> std::io::Result<()> {
    write!(out, "{CSV_HEADER}")?;
    csv_row(out, credential)
}

fn csv_row(out: &mut Vec<u8>, credential: &Credential) -> std::io::Result<()> {
    write!(out, "{},", credential.username)?;
    let password = credential.password.expose();
    if password.contains([',', '"']) {
        write!(out, "\"")?;
        for c in password.chars() {
            write!(out, "{}{c}", if c == '"' { "\"" } else { "" })?;
        }
        write!(out, "\"")?;
    } else {
        write!(out, "{password}")?;
    }
    writeln!(out, ",{}", credential.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::settings::Connection;
    use crate::model::password::Password;
    use crate::model::settings::Ports;

    const HARD: &str = "a'b\"c, d:/%@#é$(x)";

    fn rendered(reveal: Reveal, host: Option<&str>) -> String {
        let username = "shop+1@example.com".parse().unwrap();
        let credential = Credential {
            password: Password::chosen(Zeroizing::new(HARD.into()), &username).unwrap(),
            key: crate::model::password::KeyId::stored("abcdefgh".into()),
            connection: Connection {
                host: host.map(|h| h.parse().unwrap()),
                ports: Ports::default(),
            },
            expires_at: None,
            occasion: "New user",
            username,
        };
        let bytes = render(reveal, &credential)
            .map_err(|e| e.code())
            .unwrap_or_default();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn every_form_survives_a_hard_password() {
        let host = Some("smtp.example.com");
        assert_eq!(rendered(Reveal::Line, host), format!("{HARD}\n"));
        assert_eq!(rendered(Reveal::Raw, host), HARD);
        assert_eq!(
            rendered(Reveal::Url, host),
            "smtp://shop%2B1%40example.com:a%27b%22c%2C%20d%3A%2F%25%40%23%C3%A9%24%28x%29@smtp.example.com:587\n"
        );
        let json: serde_json::Value = serde_json::from_str(&rendered(Reveal::Json, host)).unwrap();
        assert_eq!(json["password"], HARD);
        assert_eq!(json["ports"][0]["port"], 587);
        assert!(rendered(Reveal::Env, host).ends_with("SMTP_PASSWORD='a'\\''b\"c, d:/%@#é$(x)'\n"));
        assert!(rendered(Reveal::K8s, host).contains("name: smtp-shop-1-example-com\n"));
        assert!(
            rendered(Reveal::K8s, host).ends_with("SMTP_PASSWORD: \"a'b\\\"c, d:/%@#é$(x)\"\n")
        );
        let csv = rendered(Reveal::Csv, host);
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(&rows.records().next().unwrap().unwrap()[1], HARD);
    }

    #[test]
    fn without_a_host_the_url_is_refused_and_the_rest_leaves_it_out() {
        assert_eq!(rendered(Reveal::Url, None), "");
        assert!(!rendered(Reveal::Env, None).contains("SMTP_HOST"));
    }
}
