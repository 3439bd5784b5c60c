//! The forms a password is printed in.

use std::io::Write as _;

use serde_json::json;
use zeroize::Zeroizing;

use crate::app::credential::Credential;
use crate::cli::settings::record::PortRecord;
use crate::error::{Error, Result};
use crate::model::settings::{Encryption, MECHANISMS};

/// The form in which a password is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RevealForm {
    /// The password and a newline
    Line,
    /// The password alone, for tools that would keep a newline
    Raw,
    /// One document with everything needed to sign in
    Json,
    /// SMTP_HOST, SMTP_USERNAME, SMTP_PASSWORD and others, one on each line
    Env,
    /// A Kubernetes Secret with the same variables
    K8s,
    /// smtp://user:password@host:port
    Url,
    /// Username, password and password ID under a header
    Csv,
}

/// The forms for many passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamForm {
    Json,
    Csv,
}

pub const CSV_HEADER: &str = "username,password,password_id\n";

/// Larger than any rendered password, in bytes: a growing buffer leaves copies behind.
const CAPACITY: usize = 16 * 1024;

/// Renders a password.
pub fn render(reveal: RevealForm, credential: &Credential) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(CAPACITY));
    let password = credential.password.expose();
    let written = match reveal {
        RevealForm::Line => writeln!(out, "{password}"),
        RevealForm::Raw => write!(out, "{password}"),
        RevealForm::Json => json(&mut out, credential),
        RevealForm::Env => env(&mut out, credential),
        RevealForm::K8s => k8s(&mut out, credential),
        RevealForm::Url => return url(out, credential),
        RevealForm::Csv => csv(&mut out, credential),
    };
    written.map_err(|e| Error::Undeliverable(e.to_string()))?;
    Ok(out)
}

/// Renders one of many passwords as a line, for CSV below [`CSV_HEADER`].
pub fn line(form: StreamForm, credential: &Credential, out: &mut Vec<u8>) -> Result<()> {
    let written = match form {
        StreamForm::Json => members(out, credential, ["{", ",", ":", "}"]),
        StreamForm::Csv => csv_row(out, credential),
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
    let server = &credential.server;
    // The password is written straight into the buffer, without an intermediate value.
    write!(out, "{begin}\"username\"{is}")?;
    serde_json::to_writer(&mut *out, credential.username.as_str())?;
    write!(out, "{next}\"password\"{is}")?;
    serde_json::to_writer(&mut *out, credential.password.expose())?;
    let rest = [
        ("password_id", json!(credential.password_id.as_str())),
        ("host", json!(server.host.as_ref().map(ToString::to_string))),
        ("ports", json!(PortRecord::all(server.ports))),
        ("auth", json!(MECHANISMS)),
        ("expires_at", json!(credential.expires_at)),
    ];
    for (name, value) in rest {
        write!(out, "{next}\"{name}\"{is}{value}")?;
    }
    writeln!(out, "{end}")
}

/// Returns the environment variables without the password.
fn variables(credential: &Credential) -> Vec<(&'static str, String)> {
    let port = credential.server.ports.recommended();
    let host = credential.server.host.as_ref();
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
        assignment(out, name, &value)?;
    }
    assignment(out, "SMTP_PASSWORD", credential.password.expose())
}

/// Writes an assignment for a shell or a .env file, quoted if needed.
fn assignment(out: &mut Vec<u8>, name: &str, value: &str) -> std::io::Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.,:@%+/".contains(&b);
    if value.bytes().all(plain) {
        return writeln!(out, "{name}={value}");
    }
    write!(out, "{name}='")?;
    for part in value.split_inclusive('\'') {
        match part.strip_suffix('\'') {
            Some(before) => write!(out, "{before}'\\''")?,
            None => write!(out, "{part}")?,
        }
    }
    writeln!(out, "'")
}

/// Returns the name of the Secret, a DNS subdomain of letters, digits and inner hyphens. If
/// characters other than the `@` and the dots of the domain become a hyphen, or the name is
/// truncated, a hash keeps two users from sharing a name: one Secret would overwrite the other.
/// No name without a hash has two hyphens in a row.
fn secret_name(username: &str) -> String {
    const LONGEST: usize = 253;
    const HASH: usize = 12;
    let fold = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let folded: String = username.chars().map(fold).collect();
    let name = format!("smtp-{folded}");
    let (local, domain) = username.split_once('@').unwrap_or((username, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let told_apart =
        local.chars().all(is_plain) && domain.split('.').all(|l| l.chars().all(is_plain));
    if told_apart && name.len() <= LONGEST {
        return name;
    }
    let hash = &blake3::hash(username.as_bytes()).to_hex()[..HASH];
    let stem = &name[..name.len().min(LONGEST - HASH - 2)];
    format!("{}--{hash}", stem.trim_end_matches('-'))
}

/// <https://kubernetes.io/docs/concepts/configuration/secret/>
fn k8s(out: &mut Vec<u8>, credential: &Credential) -> std::io::Result<()> {
    let name = secret_name(credential.username.as_str());
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
    let Some(host) = &credential.server.host else {
        return Err(Error::HostNotSet("--reveal url"));
    };
    let port = credential.server.ports.recommended();
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

/// Encodes all but the unreserved characters of RFC 3986 §2.3.
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
    writeln!(out, ",{}", credential.password_id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::app::settings::SmtpServer;
    use crate::model::password::Password;
    use crate::model::settings::Ports;

    const HARD: &str = "a'b\"c, d:/%@#é$(x)";

    fn rendered(reveal: RevealForm, host: Option<&str>) -> String {
        rendered_for("shop+1@example.com", reveal, host)
    }

    fn rendered_for(username: &str, reveal: RevealForm, host: Option<&str>) -> String {
        let username = username.parse().unwrap();
        let credential = Credential {
            password: Password::chosen(Zeroizing::new(HARD.into())).unwrap(),
            password_id: crate::model::password::PasswordId::stored("abcdefgh".into()),
            server: SmtpServer {
                host: host.map(|h| h.parse().unwrap()),
                ports: Ports::default(),
            },
            expires_at: None,
            occasion: "New user",
            replaces: None,
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
        assert_eq!(rendered(RevealForm::Line, host), format!("{HARD}\n"));
        assert_eq!(rendered(RevealForm::Raw, host), HARD);
        assert_eq!(
            rendered(RevealForm::Url, host),
            "smtp://shop%2B1%40example.com:a%27b%22c%2C%20d%3A%2F%25%40%23%C3%A9%24%28x%29@smtp.example.com:587\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&rendered(RevealForm::Json, host)).unwrap();
        assert_eq!(json["password"], HARD);
        assert_eq!(json["ports"][0]["port"], 587);
        assert!(
            rendered(RevealForm::Env, host).ends_with("SMTP_PASSWORD='a'\\''b\"c, d:/%@#é$(x)'\n")
        );
        assert!(rendered(RevealForm::K8s, host).contains("name: smtp-shop-1-example-com--"));
        assert!(
            rendered(RevealForm::K8s, host).ends_with("SMTP_PASSWORD: \"a'b\\\"c, d:/%@#é$(x)\"\n")
        );
        let csv = rendered(RevealForm::Csv, host);
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(&rows.records().next().unwrap().unwrap()[1], HARD);
    }

    #[test]
    fn every_form_survives_a_hard_name() {
        let name = "o'b&#%=^!~@example.com";
        let rendered = |reveal| rendered_for(name, reveal, Some("smtp.example.com"));
        assert!(
            rendered(RevealForm::Env).contains("\nSMTP_USERNAME='o'\\''b&#%=^!~@example.com'\n")
        );
        let json: serde_json::Value = serde_json::from_str(&rendered(RevealForm::Json)).unwrap();
        assert_eq!(json["username"], name);
        assert!(
            rendered(RevealForm::K8s).contains("\n  SMTP_USERNAME: \"o'b&#%=^!~@example.com\"\n")
        );
        assert!(
            rendered(RevealForm::Url).starts_with("smtp://o%27b%26%23%25%3D%5E%21~%40example.com:")
        );
        let csv = rendered(RevealForm::Csv);
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(&rows.records().next().unwrap().unwrap()[0], name);
    }

    #[test]
    fn users_never_share_a_secret() {
        assert_eq!(secret_name("shop@example.com"), "smtp-shop-example-com");
        assert_eq!(secret_name("shop@x.example.com"), "smtp-shop-x-example-com");
        let long = |n: usize| format!("a@{}.{}", vec!["b".repeat(60); 4].join("."), "c".repeat(n));
        let users = [
            "shop@x.example.com",
            "shop-x@example.com",
            "shop@x-example.com",
            "shop.x@example.com",
            "shop_x@example.com",
            "shop+x@example.com",
            "shop-@example.com",
            "shop--x@example.com",
            "shop=x@example.com",
            "-shop@example.com",
            &long(6),
            &long(7),
            &long(8),
        ];
        let names: BTreeSet<_> = users.into_iter().map(secret_name).collect();
        assert_eq!(names.len(), users.len(), "{names:?}");
        for name in names {
            assert!(name.len() <= 253, "{name}");
            assert!(!name.ends_with('-'), "{name}");
        }
    }

    #[test]
    fn without_a_host_the_url_is_refused_and_the_rest_leaves_it_out() {
        assert_eq!(rendered(RevealForm::Url, None), "");
        assert!(!rendered(RevealForm::Env, None).contains("SMTP_HOST"));
    }
}
