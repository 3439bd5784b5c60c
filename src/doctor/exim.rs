//! Exim's configuration, as `exim -bP config` tells it.

use std::path::Path;

use super::access::Who;
use super::findings::{Compared, Findings};
use super::sockets::{Endpoint, Known, Sockets};
use super::tool;
use crate::error::Result;

pub struct Exim {
    lines: Vec<String>,
    /// As whom it asks.
    user: Option<String>,
}

impl Exim {
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let said = asked(file, &["-bP", "config"])?;
        let lines = said.lines().map(spaced);
        let user = asked(file, &["-bP", "exim_user"]).ok();
        let user = user.and_then(|said| Some(said.split_once(" = ")?.1.trim().to_owned()));
        Ok(Self {
            lines: lines.collect(),
            user,
        })
    }

    pub fn compare(&self, sockets: &Sockets) -> Vec<Compared> {
        let there = |wanted: &str, good| Compared::there("exim -bP config", wanted, good);
        let has = |wanted: &str| self.lines.iter().any(|line| line == wanted);
        let line = |wanted: &str| there(wanted, has(wanted));
        let socket = format!("server_socket = {}", sockets.auth);
        let others = |line: &String| line.starts_with("server_socket") && *line != socket;
        let mut all = vec![
            line("public_name = PLAIN"),
            line("public_name = LOGIN"),
            line("driver = dovecot"),
            there(&socket, has(&socket) && !self.lines.iter().any(others)),
            // Without it the policy service is told of nobody, and limits nobody.
            there("server_set_id = $auth1", self.names_users()),
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

    /// Signing in by a socket.
    pub fn is_set_up(&self) -> bool {
        self.lines.iter().any(|line| line == "driver = dovecot")
    }

    /// Where it looks for the sockets.
    pub fn sockets(&self) -> Known {
        let mut known = Known::default();
        for line in &self.lines {
            if let Some(path) = line.strip_prefix("server_socket = ") {
                known.auth.push(Endpoint::unix(path));
            }
            if let Some((_, rest)) = line.split_once("readsocket{")
                && let Some((path, _)) = rest.split_once('}')
            {
                known.policy.push(Endpoint::unix(path));
            }
        }
        known.auth.dedup();
        known.policy.dedup();
        known
    }

    pub fn examine(&self, findings: &mut Findings, known: &Known) {
        let mut area = findings.area("exim");
        let mine = self.sockets();
        let sockets = Sockets {
            auth: chosen(&mine.auth, &known.auth),
            policy: chosen(&mine.policy, &known.policy),
        };
        for one in self.compare(&sockets) {
            let advice = "smtpcred show-server-config exim says how it should be";
            area.judge(&one.wanted, one.good, &one.found, advice);
        }
        let Some(who) = self.user.as_deref().and_then(Who::named) else {
            return;
        };
        for (name, all, known) in [
            ("auth", &mine.auth, &known.auth),
            ("policy", &mine.policy, &known.policy),
        ] {
            for endpoint in all.iter().filter(|one| known.iter().any(|two| one.is(two))) {
                let group = format!("adduser {} smtpcred, and restart Exim", who.name);
                endpoint.judge_access(&mut area, name, &who, &group);
            }
        }
    }

    /// AUTH is offered over TLS only: by the main part, or by each authenticator.
    fn encrypts(&self) -> bool {
        let all =
            |line: &&String| line.starts_with("auth_advertise_hosts") && line.contains("tls_");
        let count =
            |wanted: &dyn Fn(&str) -> bool| self.lines.iter().filter(|line| wanted(line)).count();
        let authenticators = count(&|line| line == "driver = dovecot");
        let conditions =
            count(&|line| line.starts_with("server_advertise_condition") && line.contains("tls_"));
        self.lines.iter().any(|line| all(&line))
            || (authenticators > 0 && conditions >= authenticators)
    }

    /// Each authenticator says who signed in.
    fn names_users(&self) -> bool {
        let count =
            |wanted: &dyn Fn(&str) -> bool| self.lines.iter().filter(|line| wanted(line)).count();
        let authenticators = count(&|line| line == "driver = dovecot");
        let named = count(&|line| line.starts_with("server_set_id = ") && line.contains("auth1"));
        named >= authenticators
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
            // `accept hosts = :` goes on.
            .take_while(|line| {
                let next = line.ends_with(':') && !line.contains('=');
                !next && !line.starts_with("begin ")
            })
            .collect()
    }
}

/// Exim shows an option as it was written: `driver=dovecot` is one, too.
fn spaced(line: &str) -> String {
    let line = line.trim();
    match line.split_once('=') {
        Some((name, value)) if !name.trim_end().contains(char::is_whitespace) => {
            format!("{} = {}", name.trim_end(), value.trim_start())
        }
        _ => line.to_owned(),
    }
}

/// The one it looks for, if serve is there; else one of those that are.
fn chosen(mine: &[Endpoint], known: &[Endpoint]) -> String {
    let is_known = |one: &&Endpoint| known.iter().any(|known| known.is(one));
    let right = mine
        .first()
        .filter(|_| mine.iter().all(|one| is_known(&one)));
    let right = right.or_else(|| known.first());
    right.map_or_else(String::new, ToString::to_string)
}

fn asked(file: Option<&Path>, args: &[&str]) -> Result<String> {
    let file = file.map(|path| path.display().to_string());
    let from = file.iter().flat_map(|file| ["-C", file.as_str()]);
    let args: Vec<_> = from.chain(args.iter().copied()).collect();
    // The name differs from system to system.
    let name = if tool::is_there("exim4") {
        "exim4"
    } else {
        "exim"
    };
    Ok(tool::ask(name, &args)?.stdout)
}
