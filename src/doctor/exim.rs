//! Exim's configuration as `exim -bP config` prints it.

use std::path::Path;

use super::access::Identity;
use super::findings::{Compared, Findings};
use super::sockets::{Endpoint, KnownSockets, Sockets};
use super::tool;
use crate::error::Result;

/// The configuration of an Exim.
pub struct Exim {
    lines: Vec<String>,
    /// The user that it connects as.
    user: Option<String>,
}

/// An authenticator of Exim.
struct Authenticator<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
}

impl Authenticator<'_> {
    fn has(&self, line: &str) -> bool {
        self.lines.contains(&line)
    }
}

const CONFIG: &str = "exim -bP config";

/// A request to the policy service in an ACL.
struct PolicyQuery {
    option: &'static str,
    stage: &'static str,
    /// Attributes with their values in Exim.
    attributes: &'static [(&'static str, &'static str)],
}

const POLICY_QUERIES: [PolicyQuery; 2] = [
    PolicyQuery {
        option: "acl_smtp_rcpt",
        stage: "RCPT",
        attributes: &[
            ("process", "$pid"),
            ("client_address", "$sender_host_address"),
            ("sender", "$sender_address"),
            ("recipient", "$local_part@$domain"),
            ("sasl_username", "$authenticated_id"),
        ],
    },
    PolicyQuery {
        option: "acl_smtp_data",
        stage: "END-OF-MESSAGE",
        attributes: &[
            ("process", "$pid"),
            ("client_address", "$sender_host_address"),
            ("sender", "$sender_address"),
            // $rcpt_count includes the recipients that Exim refused.
            ("recipient_count", "$recipients_count"),
            ("size", "$message_size"),
            ("sasl_username", "$authenticated_id"),
        ],
    },
];

/// The condition that everyone who has signed in fulfils.
const USERS: &str = "authenticated = *";

const VERBS: [&str; 7] = [
    "accept", "defer", "deny", "discard", "drop", "require", "warn",
];

impl Exim {
    /// Returns the configuration that Exim prints so.
    #[cfg(test)]
    pub fn of(text: &str) -> Self {
        Self {
            lines: text.lines().map(spaced).collect(),
            user: None,
        }
    }

    /// Reads the configuration, from `file` if given. Fails if Exim does.
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

    /// Compares it with what show-server-config prints for these sockets.
    pub fn compare(&self, sockets: &Sockets) -> Vec<Compared> {
        let there = |wanted: &str, good| Compared::there(CONFIG, wanted, good);
        let has = |wanted: &str| self.lines.iter().any(|line| line == wanted);
        let line = |wanted: &str| there(wanted, has(wanted));
        let socket = format!("server_socket = {}", sockets.auth);
        // Authenticators with other mechanisms may ask a real Dovecot.
        let mut ours = self.authenticators();
        ours.retain(|one| {
            let mechanism = one.has("public_name = PLAIN") || one.has("public_name = LOGIN");
            one.has("driver = dovecot") && (mechanism || one.has(&socket))
        });
        let mut all = vec![
            line("public_name = PLAIN"),
            line("public_name = LOGIN"),
            line("driver = dovecot"),
            there(
                &socket,
                !ours.is_empty() && ours.iter().all(|one| one.has(&socket)),
            ),
            // Without it the policy service learns no user, and limits none.
            there("server_set_id = $auth1", self.names_users()),
            there("auth_advertise_hosts, over TLS only", self.encrypts()),
        ];
        let policy = format!("readsocket{{{}}}", sockets.policy);
        let ours: Vec<_> = ours.iter().map(|one| one.name).collect();
        let mut message = "$acl_m_smtpcred";
        for question in &POLICY_QUERIES {
            let option = question.option;
            let acl = self.acl(option);
            let state = format!("protocol_state={}", question.stage);
            let asks = |line: &&&str| line.contains(&policy) && line.contains(&state);
            let asked = acl.iter().find(asks);
            let wanted = format!("{option} with {policy} for {}", question.stage);
            all.push(there(&wanted, asked.is_some()));
            let Some(asked) = asked else { continue };
            let differs = |(name, value): &(&str, &str)| {
                let found = attribute(asked, name);
                let same = found.is_some_and(|found| unbraced(found) == unbraced(value));
                let wanted = format!("{option} with {name}={value}");
                let found = found.map_or("missing".into(), |found| format!("{name}={found}"));
                (!same).then(|| Compared::new(CONFIG, &wanted, &found, false))
            };
            all.extend(question.attributes.iter().filter_map(differs));
            // A message may have any name, if all requests for it use the same.
            if let Some(found) = attribute(asked, "instance")
                && question.stage == "RCPT"
                && !found.is_empty()
            {
                message = found;
            }
            all.extend(differs(&("instance", message)));
            all.push(compare_users(option, &acl, asked, &ours));
        }
        all
    }

    /// Returns the authenticators that sign users in, with their mechanisms.
    pub fn servers(&self) -> Vec<(&str, &str)> {
        let all = self.authenticators().into_iter();
        let server = all.filter(|one| one.lines.iter().any(|line| line.starts_with("server_")));
        let named = server.filter_map(|one| {
            let mut lines = one.lines.iter();
            let mechanism = lines.find_map(|line| line.strip_prefix("public_name = "))?;
            Some((one.name, mechanism.trim_matches('"')))
        });
        named.collect()
    }

    /// Returns the value of an option of the main section as it is set, if it is.
    pub fn set(&self, option: &str) -> Option<&str> {
        let main = self
            .lines
            .iter()
            .take_while(|line| !line.starts_with("begin "));
        let mut values = main.filter_map(|line| line.strip_prefix(option)?.strip_prefix(" = "));
        values.next()
    }

    /// Returns whether a statement of an ACL accepts everyone who has signed in.
    pub fn accepts_users(&self, acl: &str) -> bool {
        let mut accepts = false;
        let lines = self.lines_of(acl).into_iter();
        lines
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
            .any(|(verb, rest)| {
                if VERBS.contains(&verb) {
                    accepts = verb == "accept";
                }
                let condition = if VERBS.contains(&verb) {
                    rest.trim()
                } else {
                    ""
                };
                accepts && (condition == USERS || format!("{verb} {rest}") == USERS)
            })
    }

    fn authenticators(&self) -> Vec<Authenticator<'_>> {
        let lines = self.lines.iter().map(String::as_str);
        let lines = lines.skip_while(|line| *line != "begin authenticators");
        let lines = lines.skip(1).take_while(|line| !line.starts_with("begin "));
        let mut all = Vec::<Authenticator>::new();
        for line in lines {
            match (line.strip_suffix(':'), all.last_mut()) {
                (Some(name), _) if !name.contains('=') => all.push(Authenticator {
                    name,
                    lines: Vec::new(),
                }),
                (_, Some(last)) => last.lines.push(line),
                _ => {}
            }
        }
        all
    }

    /// Returns whether users sign in through a Dovecot socket.
    pub fn is_set_up(&self) -> bool {
        self.lines.iter().any(|line| line == "driver = dovecot")
    }

    /// Returns the sockets that it connects to.
    pub fn sockets(&self) -> KnownSockets {
        let mut known = KnownSockets::default();
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

    /// Adds findings on its configuration and its access to the sockets.
    pub fn examine(&self, findings: &mut Findings, known: &KnownSockets) {
        let mut area = findings.area("exim");
        let mine = self.sockets();
        let sockets = Sockets {
            auth: chosen(&mine.auth, &known.auth),
            policy: chosen(&mine.policy, &known.policy),
        };
        for one in self.compare(&sockets) {
            let advice = "smtpcred show-server-config exim shows how it should be";
            area.judge(&one.wanted, one.good, &one.found, advice);
        }
        let Some(who) = self.user.as_deref().and_then(Identity::named) else {
            return;
        };
        for (name, all, known) in [
            ("auth", &mine.auth, &known.auth),
            ("policy", &mine.policy, &known.policy),
        ] {
            for endpoint in all.iter().filter(|one| known.iter().any(|two| one.is(two))) {
                let group = format!("adduser {} smtpcred, then restart Exim", who.name);
                endpoint.judge_access(&mut area, name, &who, &group);
            }
        }
    }

    /// Returns whether AUTH is offered over TLS only: in the main section, or by each
    /// authenticator.
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

    /// Returns whether each authenticator sets the user who signed in.
    fn names_users(&self) -> bool {
        let count =
            |wanted: &dyn Fn(&str) -> bool| self.lines.iter().filter(|line| wanted(line)).count();
        let authenticators = count(&|line| line == "driver = dovecot");
        let named = count(&|line| line.starts_with("server_set_id = ") && line.contains("auth1"));
        named >= authenticators
    }

    /// Returns the lines of the ACL that an option names.
    pub fn acl(&self, option: &str) -> Vec<&str> {
        let name = self.set(option);
        name.map_or_else(Vec::new, |name| self.lines_of(name))
    }

    fn lines_of(&self, acl: &str) -> Vec<&str> {
        let lines = self.lines.iter().map(String::as_str);
        lines
            .skip_while(|line| line.strip_suffix(':') != Some(acl))
            .skip(1)
            // `accept hosts = :` is part of it.
            .take_while(|line| {
                let next = line.ends_with(':') && !line.contains('=');
                !next && !line.starts_with("begin ")
            })
            .collect()
    }
}

/// Users of other authenticators must not be refused because smtpcred does not know
/// them: each statement that asks about a user or uses the answer must name the
/// authenticators that ask smtpcred, and no others.
fn compare_users(option: &str, acl: &[&str], question: &str, ours: &[&str]) -> Compared {
    let answer = question
        .strip_prefix("set ")
        .and_then(|rest| Some(rest.split_once('=')?.0.trim()));
    let wanted = format!("{option} with authenticated = {}", ours.join(" : "));
    let wrong = statements(acl).into_iter().find_map(|statement| {
        let concerned =
            |line: &&str| *line == question || answer.is_some_and(|answer| line.contains(answer));
        let value = statement.iter().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == "authenticated").then(|| value.trim())
        })?;
        let mut names: Vec<_> = value.split(':').map(str::trim).collect();
        names.sort_unstable();
        let mut ours = ours.to_vec();
        ours.sort_unstable();
        (statement.iter().any(concerned) && names != ours).then_some(value)
    });
    match wrong {
        None => Compared::there(CONFIG, &wanted, true),
        Some(value) => {
            let found = format!("authenticated = {value}");
            Compared::new(CONFIG, &wanted, &found, false)
        }
    }
}

/// Splits an ACL into statements, each a list of conditions and modifiers.
fn statements<'a>(acl: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut all = Vec::<Vec<_>>::new();
    for line in acl {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if VERBS.contains(&verb) {
            all.push(vec![rest.trim()]);
        } else if let Some(last) = all.last_mut() {
            last.push(line);
        }
    }
    all
}

/// Finds an attribute in a request, whose lines end with a literal `\n`.
fn attribute<'a>(question: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = question.split("\\n");
    lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))
}

/// `${pid}` is the same as `$pid`.
fn unbraced(value: &str) -> String {
    value.replace(['{', '}'], "")
}

/// Normalizes spaces: Exim prints an option as it was written, such as `driver=dovecot`.
fn spaced(line: &str) -> String {
    let line = line.trim();
    match line.split_once('=') {
        Some((name, value)) if !name.trim_end().contains(char::is_whitespace) => {
            format!("{} = {}", name.trim_end(), value.trim_start())
        }
        _ => line.to_owned(),
    }
}

/// Returns the socket that Exim uses, if serve listens there, or else one where it does.
fn chosen(mine: &[Endpoint], known: &[Endpoint]) -> String {
    let is_known = |one: &&Endpoint| known.iter().any(|known| known.is(one));
    let right = mine
        .first()
        .filter(|_| mine.iter().all(|one| is_known(&one)));
    let right = right.or_else(|| known.first());
    right.map_or_else(String::new, ToString::to_string)
}

/// Returns the value of an option, or its default.
pub fn option(file: Option<&Path>, name: &str) -> Result<String> {
    let said = asked(file, &["-bP", name])?;
    let value = said.split_once('=').map_or("", |(_, value)| value);
    Ok(value.trim().to_owned())
}

fn asked(file: Option<&Path>, args: &[&str]) -> Result<String> {
    let file = file.map(|path| path.display().to_string());
    let from = file.iter().flat_map(|file| ["-C", file.as_str()]);
    let args: Vec<_> = from.chain(args.iter().copied()).collect();
    // The name differs between systems.
    let name = if tool::is_there("exim4") {
        "exim4"
    } else {
        "exim"
    };
    Ok(tool::ask(name, &args)?.stdout)
}
