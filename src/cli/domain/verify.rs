//! `smtpcred domain verify`

use anyhow::Result;
use clap::Args;

use super::super::{Context, complete};
use super::help;
use crate::app::dns::{Token, look_for};
use crate::dns::Resolver;
use crate::error::Error;
use crate::model::dns::{ResolverAddress, verification};
use crate::model::name::DomainName;
use crate::store::Access;

/// Prove that a domain is its users' own, by a token in its DNS
///
/// Looks for the domain's token, which never changes, in a TXT record of `_smtpcred.DOMAIN`. Once
/// found, the domain is verified for good, and the record may go.
#[derive(Debug, Args)]
#[command(after_long_help = help::VERIFY)]
pub struct Verify {
    /// Which domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// The name server to ask; by default those of /etc/resolv.conf
    #[arg(long, value_name = "ADDR[:PORT]")]
    resolver: Option<ResolverAddress>,
}

impl Verify {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let (known, _) = app.domain(&self.name)?;
        if let Some(since) = known.verified_at {
            context
                .out
                .note(&format!("{} is verified since {since}", self.name));
        } else {
            let token = app.verification_token(&self.name)?;
            let record = verification(self.name.as_str(), &token);
            let found = look_for(&record, &mut Resolver::new(self.resolver)?);
            match found.map_err(|failure| Error::DnsFailed(failure.to_string()))? {
                Token::There => {}
                Token::NotThere(found) => {
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
        let record = super::record(&mut app, &self.name)?;
        Ok(context.out.result(&record)?)
    }
}
