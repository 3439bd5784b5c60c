//! Of a smtpcred that was built without the feature `dns`.

use crate::error::{Error, Result};
use crate::model::dns::{Answer, Ask, Failure, Kind, ResolverAddress};

const NONE: &str = "this smtpcred was built without DNS";

pub struct Resolver;

impl Resolver {
    pub fn new(_: Option<ResolverAddress>) -> Result<Self> {
        Err(Error::System(NONE.into()))
    }
}

impl Ask for Resolver {
    fn ask(&mut self, _: &str, _: Kind) -> Answer {
        Answer::Failed(Failure::NoAnswer(NONE.into()))
    }
}
