//! PHC strings of Argon2.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Version};

use super::cost::Cost;

/// A PHC string taken apart, within the caps.
pub(super) struct PhcParts {
    pub algorithm: Algorithm,
    pub cost: Cost,
    pub salt: Salt,
    pub tag: Output,
}

/// Takes a PHC string apart. Returns `None` if it is none of Argon2 version 19, or is
/// beyond the caps.
pub(super) fn parse(text: &str) -> Option<PhcParts> {
    let phc = PasswordHash::new(text).ok()?;
    let algorithm = match phc.algorithm.as_str() {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        _ => return None,
    };
    let cost = Cost {
        m: phc.params.get_decimal("m")?,
        t: phc.params.get_decimal("t")?,
        p: phc.params.get_decimal("p")?,
    };
    let version_good = phc.version == Some(Version::V0x13.into());
    (version_good && cost.within_caps()).then_some(PhcParts {
        algorithm,
        cost,
        salt: phc.salt?,
        tag: phc.hash?,
    })
}
