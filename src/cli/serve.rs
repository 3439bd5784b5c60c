//! `smtpcred serve`

use std::net::SocketAddr;

use anyhow::Result;
use clap::Args;
use nix::unistd::Uid;

use super::{Context, help, machine};
use crate::app::relay::Opener;
use crate::error::Error;
use crate::serve::log::Level;
use crate::serve::{self, End, Options, Parts, SocketSpec};
use crate::store::{Access, Store};

/// Sign users in, for Postfix, Exim and others
///
/// Speaks Dovecot's authentication protocol and Postfix's access policy protocol on sockets that the
/// mail server connects to; see `smtpcred show-server-config` for its side. Stays in the foreground
/// and logs to stderr. SIGTERM answers who has asked and ends; SIGHUP reads the settings again;
/// SIGUSR2 starts the program anew without closing its sockets.
#[derive(Debug, Args)]
#[command(after_long_help = help::SERVE)]
pub struct Serve {
    /// A socket for sign-ins: PATH[,mode=0660][,owner=NAME][,group=NAME]; repeatable
    #[arg(long, value_name = "SOCKET")]
    auth: Vec<SocketSpec>,

    /// A socket for the policy service, in the same form; repeatable
    #[arg(long, value_name = "SOCKET")]
    policy: Vec<SocketSpec>,

    /// An address of this machine for the policy service, such as 127.0.0.1:10040; repeatable
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,

    /// How many passwords are hashed at the same time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,

    /// Run as root, which is neither needed nor wise
    #[arg(long)]
    allow_root: bool,
}

impl Serve {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if Uid::effective().is_root() && !self.allow_root {
            return Err(Error::RunsAsRoot.into());
        }
        let options = Options {
            auth: self.auth,
            policy: self.policy,
            listen: self.listen,
            workers: self.workers.map(usize::from),
        };
        // Once with its warnings; and what is wrong with it is said at once. Not
        // where somebody may be waiting on the sockets already: to put them off
        // is better than to hang up on them.
        if std::env::var_os("LISTEN_FDS").is_none() {
            drop(context.app(Access::Existing)?);
        }
        let location = context.globals.location()?;
        let opener = || -> Opener {
            let location = location.clone();
            Box::new(move |patience| {
                let mut store = Store::open_within(&location, Access::Existing, patience)?;
                store.keep_little()?;
                Ok(store)
            })
        };
        let parts = Parts {
            openers: [opener(), opener()],
            world: machine::WORLD,
            log: sink(context.globals.quiet),
        };
        match serve::run(&options, parts)? {
            End::Stopped => Ok(()),
            End::Restart(restart) => Err(restart.run().into()),
        }
    }
}

/// The journal reads the urgency of a line from its beginning (sd-daemon(3)).
fn sink(quiet: bool) -> serve::log::Sink {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    Box::new(move |level, line| {
        if quiet && level == Level::Info {
            return;
        }
        if journal {
            super::output::say(&format!("<{}>{line}", level as u8));
        } else {
            super::output::say(line);
        }
    })
}
