//! Takes the place of the resolver in a build without the feature `dns`.

use crate::error::{Error, Result};
use crate::model::dns::{DnsAnswer, DnsClient, DnsFailure, RecordType, ResolverAddress};

const NONE: &str = "this smtpcred was built without DNS";

/// A resolver that resolves nothing.
pub struct Resolver;

impl Resolver {
    /// Fails: there is no resolver in this build.
    pub fn new(_: Option<ResolverAddress>) -> Result<Self> {
        Err(Error::System(NONE.into()))
    }
}

impl DnsClient for Resolver {
    fn ask(&mut self, _: &str, _: RecordType) -> DnsAnswer {
        DnsAnswer::Failed(DnsFailure::NoAnswer(NONE.into()))
    }
}
