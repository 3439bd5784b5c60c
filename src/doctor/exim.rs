//! Exim's configuration, as `exim -bP config` tells it.

use std::path::Path;

use super::{Compared, Sockets, tool};
use crate::error::Result;

pub struct Exim {
    lines: Vec<String>,
}

impl Exim {
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let said = asked(file, &["-bP", "config"])?;
        let lines = said.lines().map(|line| line.trim().to_owned());
        Ok(Self {
            lines: lines.collect(),
        })
    }

    pub fn compare(&self, sockets: &Sockets) -> Vec<Compared> {
        let there = |wanted: &str, good| Compared::there("exim -bP config", wanted, good);
        let has = |wanted: &str| self.lines.iter().any(|line| line == wanted);
        let line = |wanted: &str| there(wanted, has(wanted));
        let mut all = vec![
            line("public_name = PLAIN"),
            line("public_name = LOGIN"),
            line("driver = dovecot"),
            line(&format!("server_socket = {}", sockets.auth)),
            there("auth_advertise_hosts, over TLS only", self.encrypts()),
        ];
        let policy = format!("readsocket{{{}}}", sockets.policy);
        for (option, stage) in [
            ("acl_smtp_rcpt", "RCPT"),
            ("acl_smtp_data", "END-OF-MESSAGE"),
        ] {
            let used = self.acl(option);
            let has = |part: &str| used.iter().any(|line| line.contains(part));
            let asks = has(&policy) && has(&format!("protocol_state={stage}"));
            all.push(there(&format!("{option} with {policy} for {stage}"), asks));
        }
        all
    }

    /// AUTH is offered over TLS only.
    fn encrypts(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.starts_with("auth_advertise_hosts") && line.contains("tls_"))
    }

    /// The lines of the ACL that an option names.
    fn acl(&self, option: &str) -> Vec<&str> {
        let named = self.lines.iter().find_map(|line| {
            let (name, acl) = line.split_once('=')?;
            (name.trim() == option).then(|| acl.trim())
        });
        let Some(name) = named else {
            return Vec::new();
        };
        let lines = self.lines.iter().map(String::as_str);
        lines
            .skip_while(|line| line.strip_suffix(':') != Some(name))
            .skip(1)
            .take_while(|line| !line.ends_with(':') && !line.starts_with("begin "))
            .collect()
    }
}

fn asked(file: Option<&Path>, args: &[&str]) -> Result<String> {
    let file = file.map(|path| path.display().to_string());
    let from = file.iter().flat_map(|file| ["-C", file.as_str()]);
    let args: Vec<_> = from.chain(args.iter().copied()).collect();
    // The name differs from system to system.
    let said = tool::ask("exim4", &args).or_else(|_| tool::ask("exim", &args))?;
    Ok(said.stdout)
}
