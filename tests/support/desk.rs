//! Somebody who runs `smtpcred test`.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::mail::Place;
use crate::support::{Run, Sandbox, finished};

pub const USER: &str = "shop@example.com";
/// The servers of the tests take it, and throw it away.
pub const TO: &str = "you@inbound.test";

/// A user, its password, and servers.
pub struct Desk<'a> {
    pub sandbox: &'a Sandbox,
    /// What is trusted.
    pub trusted: PathBuf,
    pub password: String,
}

impl<'a> Desk<'a> {
    /// With a new user, trusting the servers of the place.
    pub fn new(sandbox: &'a Sandbox, place: &Place) -> Self {
        Self {
            sandbox,
            trusted: place.certificate.file.clone(),
            password: sandbox.create(USER),
        }
    }

    pub fn run(&self, args: &[&str], password: &str) -> Run {
        let file = self.sandbox.folder.path().join("password");
        std::fs::write(&file, password).unwrap();
        let mut command = self.sandbox.command(&[&["test", USER], args].concat());
        command.env("SSL_CERT_FILE", &self.trusted);
        command.stdin(std::fs::File::open(file).unwrap());
        finished(command.output().unwrap())
    }

    /// The one document, with the exit code.
    pub fn json(&self, args: &[&str], password: &str) -> (i32, Value) {
        let run = self.run(&[args, &["--json"]].concat(), password);
        let parsed = serde_json::from_str(&run.stdout);
        (run.code, parsed.unwrap_or_else(|e| panic!("{e}: {run:?}")))
    }

    /// Fails at a server with this explanation; returns what is said of it.
    pub fn fails(
        &self,
        server: &str,
        args: &[&str],
        password: &str,
        exit: i32,
        code: &str,
    ) -> Value {
        let args = [&["--server", server][..], args].concat();
        let (found, test) = self.json(&args, password);
        let port = test["ports"][0].clone();
        assert_eq!(port["fault"]["code"], code, "{test:#}");
        assert_eq!(found, exit, "{test:#}");
        assert_eq!(port["ok"], false);
        assert!(!port["fault"]["cause"].as_str().unwrap().is_empty());
        assert!(!test.to_string().contains(password) || password.is_empty());
        port
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// On localhost, where the certificate of the tests holds.
pub fn at(port: u16) -> String {
    format!("localhost:{port}")
}

pub fn at_tls(port: u16) -> String {
    format!("localhost:{port}/tls")
}
