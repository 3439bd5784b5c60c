//! What setup adds to the sections of Exim's configuration.

use super::names::SOCKETS;

/// What is printed for admins who do it by hand.
const BY_HAND: &str = include_str!("../../cli/server_config/exim.txt");

/// What is added.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// Lines of the main section.
    pub options: Vec<String>,
    /// The ACL for recipients that is there already.
    pub recipient: String,
    /// The ACL for whole messages that is there already.
    pub data: Option<String>,
    /// The ports that are new, where everyone has to sign in.
    pub only_users: Vec<u16>,
}

/// The additions as texts, one for each section.
pub struct Blocks {
    pub main: String,
    pub acl: String,
    pub authenticators: String,
}

impl Additions {
    /// Returns them as texts.
    pub fn blocks(&self) -> Blocks {
        Blocks {
            main: self.main(),
            acl: format!("{}\n{}", self.recipient(), self.data()),
            authenticators: format!("{}\n{}", authenticator("PLAIN"), authenticator("LOGIN")),
        }
    }

    fn main(&self) -> String {
        let acls = [("RCPT", "rcpt"), ("DATA", "data")].map(|(name, acl)| {
            let (name, acl) = (
                format!("MAIN_ACL_CHECK_{name}"),
                format!("acl_smtpcred_{acl}"),
            );
            format!(".ifdef {name}\n{name} == {acl}\n.else\n{name} = {acl}\n.endif\n")
        });
        acls.concat() + &lines(self.options.iter().map(String::as_str))
    }

    fn recipient(&self) -> String {
        let ports: Vec<_> = self.only_users.iter().map(ToString::to_string).collect();
        let strangers = if ports.is_empty() {
            String::new()
        } else {
            format!(
                "  deny    !authenticated = *
          condition = ${{if inlist{{$received_port}}{{{}}}}}
          message   = 5.7.1 sign in first\n",
                ports.join(":")
            )
        };
        format!(
            "acl_smtpcred_rcpt:\n{}{strangers}  require acl = {}\n  accept\n",
            question("acl_smtpcred_rcpt:"),
            self.recipient
        )
    }

    /// A message that is refused here does not count against a limit.
    fn data(&self) -> String {
        let before = self
            .data
            .iter()
            .map(|acl| format!("  require acl = {acl}\n"));
        format!(
            "acl_smtpcred_data:\n{}{}  accept\n",
            before.collect::<String>(),
            question("acl_smtpcred_data:")
        )
    }
}

/// Returns the statements of an ACL that ask the policy service and refuse what it refuses.
fn question(label: &str) -> String {
    let after = BY_HAND.lines().skip_while(|line| *line != label).skip(1);
    let text = lines(after.take_while(|line| !line.starts_with("  accept")));
    text.replace("{policy}", &format!("{SOCKETS}/policy"))
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Port 25 stays as it is.
fn authenticator(mechanism: &str) -> String {
    let ports = "or{{={$received_port}{587}}{={$received_port}{465}}}";
    format!(
        "smtpcred_{}:
  driver = dovecot
  public_name = {mechanism}
  server_socket = {SOCKETS}/auth
  server_set_id = $auth1
  server_advertise_condition = ${{if and{{{{def:tls_in_cipher}}{{{ports}}}}}}}\n",
        mechanism.to_ascii_lowercase()
    )
}
