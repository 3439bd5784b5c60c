//! `smtpcred show-settings NAME --for CLIENT`: settings that paste and work.
//!
//! A client is a file beside this one, and adding one is adding a file. Its head, up
//! to the first empty line, has
//!
//! - `title:` what people call it;
//! - `file:` where the text goes, if it goes into a file;
//! - `also:` more words that find it, with commas;
//! - `prefer: tls` for a client that cannot be told to give up where STARTTLS is
//!   kept from it: it gets the port with TLS from the first byte, where there is one.
//!
//! In the text, `{{host}}`, `{{port}}`, `{{username}}` and `{{domain}}` are filled in
//! unchanged. These quote the username for their context:
//!
//! - `{{shell}}` inside single quotes of a shell, `{{word}}` as a word of its own;
//! - `{{escaped}}` (and `{{escaped_local}}`, the part before the `@`) inside single
//!   quotes of PHP, JavaScript and Ruby;
//! - `{{userinfo}}` inside a URL, `{{parameter}}` the same inside a Symfony parameter,
//!   `{{yaml_parameter}}` inside single quotes in a YAML parameter;
//! - `{{exim}}` in an authenticator, `{{ini}}` as a value for Grafana, `{{dotenv}}` as one
//!   in `.env`.
//!
//! A name may have `! # % & ' + - = ^ _ ~` in it, which mean nothing inside double quotes
//! (but `#@` in Ruby does). A line that begins with `@starttls ` or `@tls ` appears only
//! with that encryption.
//!
//! A template reads the password from `SMTP_PASSWORD` in the environment, or from
//! a file for the client's eyes only: never out of its own text, or a command line.

use std::fmt::Write as _;

use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Serialize;

use super::context::Context;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::record::Record;
use crate::error::{Error, Result};
use crate::model::name::{HostName, Username};
use crate::model::settings::{Encryption, Port, Ports};

static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/snippets.rs"));

/// The value of `--for` that lists all clients.
pub const LIST: &str = "list";

/// A client, as its file describes it.
struct Client {
    name: &'static str,
    title: &'static str,
    file: Option<&'static str>,
    also: Vec<&'static str>,
    prefers_tls: bool,
    text: &'static str,
}

fn clients() -> impl Iterator<Item = Client> {
    FILES.iter().map(|&(name, file)| {
        let (head, text) = file.split_once("\n\n").unwrap_or((file, ""));
        let value = |key: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        };
        Client {
            name,
            title: value("title").unwrap_or(name),
            file: value("file"),
            also: value("also").map_or_else(Vec::new, |also| also.split(", ").collect()),
            prefers_tls: value("prefer") == Some("tls"),
            text,
        }
    })
}

/// Returns the parser of `--for`. clap completes its values, and suggests similar ones.
pub fn names() -> PossibleValuesParser {
    let list = PossibleValue::new(LIST).help("all clients");
    let client = |client: Client| {
        PossibleValue::new(client.name)
            .help(client.title)
            .aliases(client.also)
    };
    PossibleValuesParser::new(clients().map(client).chain([list]))
}

/// Returns whether there is a client of this name.
pub fn is_client(name: &str) -> bool {
    clients().any(|client| client.name == name || client.also.contains(&name))
}

/// The values to fill in.
pub struct Values<'a> {
    pub username: &'a Username,
    pub host: &'a HostName,
    pub ports: Ports,
    /// The one asked for.
    pub port: Option<u16>,
}

/// Lists all clients.
pub fn list(context: &mut Context) -> Result<()> {
    let mut list = context.out.list::<ClientRecord>();
    for client in clients() {
        list.push(&ClientRecord {
            client: client.name,
            title: client.title,
            file: client.file,
        })?;
    }
    list.end("no clients")
}

/// Prints one client's snippet.
pub fn show(context: &mut Context, asked: &str, values: &Values) -> Result<()> {
    let client = clients()
        .find(|client| client.name == asked || client.also.contains(&asked))
        .ok_or_else(|| Error::Usage(format!("no client {asked}; see --for {LIST}")))?;
    let port = port(values, client.prefers_tls)?;
    let text = rendered(client.text, values, port);
    if context.out.format() == OutputFormat::Table {
        return context.out.text(&text);
    }
    context.out.one(&Snippet {
        client: client.name,
        title: client.title,
        file: client.file,
        username: values.username.to_string(),
        host: values.host.to_string(),
        port: port.number,
        encryption: port.encryption.key(),
        text,
    })
}

fn port(values: &Values, prefers_tls: bool) -> Result<Port> {
    let mut offered = values.ports.offered();
    if let Some(asked) = values.port {
        return offered
            .find(|port| port.number == asked)
            .ok_or_else(|| Error::Usage(not_offered(asked, values.ports)));
    }
    let tls = offered.find(|port| prefers_tls && port.encryption == Encryption::Tls);
    Ok(tls.unwrap_or_else(|| values.ports.recommended()))
}

fn not_offered(asked: u16, ports: Ports) -> String {
    format!("this relay offers {ports}, not port {asked}; see set-settings --ports")
}

fn rendered(template: &str, values: &Values, port: Port) -> String {
    let (yes, no) = match port.encryption {
        Encryption::StartTls => ("@starttls ", "@tls "),
        Encryption::Tls => ("@tls ", "@starttls "),
    };
    let mut text = String::with_capacity(template.len());
    for line in template.lines().filter(|line| !line.starts_with(no)) {
        text.push_str(line.strip_prefix(yes).unwrap_or(line));
        text.push('\n');
    }
    let username = values.username.as_str();
    let local = values.username.local_part();
    let userinfo = percent_encoded(username);
    let escaped = |name: &str| name.replace('\'', "\\'");
    let plain = username
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"@.+-_".contains(&b));
    let unless_plain = |quote: &str| {
        let quote = if plain { "" } else { quote };
        format!("{quote}{username}{quote}")
    };
    text.replace("{{host}}", values.host.as_str())
        .replace("{{port}}", &port.number.to_string())
        .replace("{{username}}", username)
        .replace("{{shell}}", &username.replace('\'', r"'\''"))
        .replace("{{word}}", &values.username.in_shell())
        .replace("{{escaped}}", &escaped(username))
        .replace("{{escaped_local}}", &escaped(local))
        // A single one means NUL there.
        .replace("{{exim}}", &username.replace('^', "^^"))
        .replace("{{ini}}", &unless_plain("\"\"\""))
        .replace("{{dotenv}}", &unless_plain("\""))
        .replace("{{domain}}", values.username.domain().as_str())
        .replace("{{userinfo}}", &userinfo)
        // A parameter of Symfony begins and ends with one.
        .replace("{{parameter}}", &userinfo.replace('%', "%%"))
        .replace(
            "{{yaml_parameter}}",
            &username.replace('%', "%%").replace('\'', "''"),
        )
}

/// Escapes all but the unreserved characters of RFC 3986 §2.3.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[derive(Serialize)]
struct ClientRecord {
    client: &'static str,
    title: &'static str,
    file: Option<&'static str>,
}

impl Record for ClientRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Client"),
        Column::new("Title").rank(1).wrap(20),
        Column::new("Goes into").rank(2),
    ];

    const FIELDS: &'static [&'static str] = &["client", "title", "file"];

    fn fields(&self) -> Vec<String> {
        let fields = [self.client, self.title, self.file.unwrap_or_default()];
        fields.map(str::to_owned).into()
    }
}

#[derive(Serialize)]
struct Snippet {
    client: &'static str,
    title: &'static str,
    file: Option<&'static str>,
    username: String,
    host: String,
    port: u16,
    encryption: &'static str,
    text: String,
}

impl Record for Snippet {
    const FIELDS: &'static [&'static str] = &[
        "client",
        "title",
        "file",
        "username",
        "host",
        "port",
        "encryption",
        "text",
    ];

    fn fields(&self) -> Vec<String> {
        vec![
            self.client.to_owned(),
            self.title.to_owned(),
            self.file.unwrap_or_default().to_owned(),
            self.username.clone(),
            self.host.clone(),
            self.port.to_string(),
            self.encryption.to_owned(),
            self.text.clone(),
        ]
    }
}
