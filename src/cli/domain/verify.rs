//! `smtpcred domain verify`

use anyhow::Result;
use clap::Args;

use super::record::DomainRecord;
use crate::app::dns::{PublishedToken, look_for};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::dns::Resolver;
use crate::error::Error;
use crate::model::dns::{ResolverAddress, verification};
use crate::model::name::DomainName;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred domain verify example.com                     shows what to publish, until it is found
  smtpcred domain verify example.com --resolver 9.9.9.9
  smtpcred set-settings --require-verified-domains yes   only users of verified domains can send

JSON:
  The domain, as in `domain list`; or an error: not_verified or dns_failed.

Exit codes:
  0 verified, now or before; 7 the token was not found; 75 it cannot be looked up from here.";

/// Prove by a token in the DNS that you control a domain
///
/// Looks for the domain's token, which never changes, in a TXT record of `_smtpcred.DOMAIN`. Once
/// the token is found, the domain stays verified, and the record can be removed.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct VerifyDomain {
    /// The domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// Ask this name server; by default those of /etc/resolv.conf
    #[arg(long, value_name = "ADDR[:PORT]")]
    resolver: Option<ResolverAddress>,
}

impl VerifyDomain {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let (known, _) = app.domain(&self.name)?;
        if let Some(since) = known.verified_at {
            context
                .out
                .note(&format!("{} has been verified since {since}", self.name));
        } else {
            let token = app.verification_token(&self.name)?;
            let record = verification(self.name.as_str(), &token);
            let found = look_for(&record, &mut Resolver::new(self.resolver)?);
            match found.map_err(|failure| Error::DnsFailed(failure.sentence(&record.name)))? {
                PublishedToken::Published => {}
                PublishedToken::Missing(found) => {
                    return Err(Error::NotVerified {
                        domain: self.name.to_string(),
                        name: record.name.clone(),
                        found,
                        record: record.to_string(),
                    }
                    .into());
                }
            }
            app.set_verified(&self.name, &token)?;
            context
                .out
                .note(&format!("verified the domain {}", self.name));
        }
        let record = DomainRecord::of(&mut app, &self.name)?;
        Ok(context.out.result(&record)?)
    }
}
