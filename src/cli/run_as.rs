//! The arguments of `smtpcred as`, for help and completion. `as_holder` runs it.

use std::ffi::OsString;

use clap::Args;

use crate::error::{Error, Result};
use crate::model::holder::HolderName;

const HELP: &str = "\
Examples:
  In authorized_keys:
  restrict,pty,command=\"smtpcred as ana\" ssh-ed25519 AAAA… ana@laptop
  restrict,command=\"smtpcred as shop-app\" ssh-ed25519 AAAA… shop@web1
  Then, elsewhere:
  ssh -t relay user reset shop@example.com               shown once, and in the clipboard
  ssh relay user reset shop@example.com --overlap 24h > new && mv new smtp.password
  In sudoers, for members of a group whose roles have their login names:
  %helpdesk ALL = (smtpcred) NOPASSWD: /usr/bin/smtpcred as --from-sudo -- *
  sudo -u smtpcred /usr/bin/smtpcred as --from-sudo -- user list

Details:
  `role grant` gives the role. The command is what SSH was asked to run, or what follows --; it is
  split into words as a shell does, without a shell. Each role may use certain commands and flags:
  no paths, no --store, nothing that delivers elsewhere. Names outside the role do not exist.
  The environment and the configuration file of the caller are not read; the store is the one of
  --store before `as`, of /etc/smtpcred/config.toml, or the default one.
  Events name the holder, its role and, if sshd has `ExposeAuthInfo yes`, the fingerprint of its key.
  smtpcred-roles(7) has all of it.";

/// Run a command for the holder of a role, behind SSH or sudo
#[derive(Debug, Args)]
#[command(after_long_help = HELP, override_usage = "smtpcred [--store PATH|URL] as NAME [-- COMMAND…]
       smtpcred [--store PATH|URL] as [NAME] --from-sudo -- COMMAND…")]
pub struct RunAs {
    /// The holder; by default with --from-sudo, the user that logged in
    #[arg(value_name = "NAME", required_unless_present = "from_sudo")]
    name: Option<HolderName>,

    /// Take the name that the holder logged in with from the kernel
    ///
    /// sudo and su do not change it. If NAME is given, too, it must be the same.
    #[arg(long)]
    from_sudo: bool,

    /// The command; by default what SSH was asked to run
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<OsString>,
}

impl RunAs {
    /// Refuses a form of the command that `as_holder::answer` does not know.
    pub fn run() -> Result<()> {
        Err(Error::Usage(
            "write only --store before `as`, and the command behind it after --".into(),
        ))
    }
}
