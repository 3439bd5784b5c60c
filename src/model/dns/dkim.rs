//! DKIM keys in the DNS (RFC 6376 §3.6.1, RFC 8463).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tags::{tags, value};

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DkimKey {
    /// An RSA key.
    Rsa {
        /// The length of the modulus.
        bits: usize,
    },
    /// An Ed25519 key (RFC 8463).
    Ed25519,
    /// Withdrawn: signatures by it no longer count.
    Revoked,
    /// Of a type that smtpcred does not know.
    Other(String),
}

/// A key and how to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimRecord {
    /// The key.
    pub key: DkimKey,
    /// Verifiers must not rely on it yet (`t=y`).
    pub testing: bool,
}

/// Parses the text of a record. The error says what is wrong with it.
pub fn parse(text: &str) -> Result<DkimRecord, String> {
    let tags = tags(text)?;
    if let Some(version) = value(&tags, "v")
        && (version != "DKIM1" || tags.first().is_none_or(|(name, _)| *name != "v"))
    {
        return Err("v= has to be the first tag, and DKIM1".into());
    }
    let Some(public) = value(&tags, "p") else {
        return Err("it has no p=, the key".into());
    };
    let listed = |name: &str, wanted: &[&str]| {
        value(&tags, name).is_none_or(|list| list.split(':').any(|v| wanted.contains(&v.trim())))
    };
    if !listed("s", &["*", "email"]) {
        return Err("its s= does not allow it for mail".into());
    }
    if !listed("h", &["sha256"]) {
        return Err("its h= does not allow sha256".into());
    }
    let testing =
        value(&tags, "t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
    Ok(DkimRecord {
        key: key(value(&tags, "k").unwrap_or("rsa"), public)?,
        testing,
    })
}

fn key(kind: &str, public: &str) -> Result<DkimKey, String> {
    let public: String = public.split_whitespace().collect();
    if public.is_empty() {
        return Ok(DkimKey::Revoked);
    }
    let bytes = STANDARD
        .decode(&public)
        .map_err(|_| "its p= is not base64: was a part of it lost?".to_owned())?;
    match kind {
        "rsa" => rsa_bits(&bytes)
            .map(|bits| DkimKey::Rsa { bits })
            .ok_or_else(|| "its p= is not an RSA key: was a part of it lost?".to_owned()),
        "ed25519" if bytes.len() == 32 => Ok(DkimKey::Ed25519),
        "ed25519" => Err("its p= is not an Ed25519 key, which has 32 bytes".to_owned()),
        other => Ok(DkimKey::Other(other.to_owned())),
    }
}

/// Returns the bits of a `SubjectPublicKeyInfo` (RFC 5280 §4.1), or of the `RSAPublicKey` alone
/// (RFC 8017 §A.1.1): both are published.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    const INTEGER: u8 = 0x02;
    const BITS: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    let (outer, rest) = element(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let key = match element(outer, SEQUENCE) {
        Some((_algorithm, rest)) => {
            let (bits, _) = element(rest, BITS)?;
            element(bits.strip_prefix(&[0])?, SEQUENCE)?.0
        }
        None => outer,
    };
    let (modulus, rest) = element(key, INTEGER)?;
    element(rest, INTEGER)?;
    let start = modulus.iter().position(|byte| *byte != 0)?;
    let length = (modulus.len() - start) * 8;
    Some(length - modulus[start].leading_zeros() as usize)
}

/// The content of the first element, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if !(1..=2).contains(&count) {
            return None;
        }
        length = 0;
        for _ in 0..count {
            let (&byte, more) = rest.split_first()?;
            length = length << 8 | usize::from(byte);
            rest = more;
        }
    }
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA_512: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL1rJCUCf4I1tVfpW2dOSEDlZCCI+amX9ku/Rr4+I8tqw/80wljUf5OIqyLZdxDsmUgndUW+5nfj9OEJhCWXWSUCAwEAAQ==";
    const RSA_1024_BARE: &str = "MIGJAoGBAMeRVpBW2n5955HW0Ybgsal6bQcDCy0zgSjeDfkY3W0Cfnl2vMbRRHY6cwRuwkZVFfBJ1b3GcdY+O4RlA8IqTVq+gEFLHxLsW2kbNtK0NyZeu8t4c9CvyfegimW+ausi8oQ9Bl0rilY7cfGQQPEF+Hpb44ehCLTaECQBfeSJ02ZlAgMBAAE=";
    const RSA_2048: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAovzqkAI/muWW5bc9+ZkLYfXBAISAOpixFuso6xjN5zZgf0t1OcLE4EEqd9anjcv9/wM2BZAw8fRJLqAoCYCIUI1PMwNzel0GL19EI/hseNNKD6w+2d8OFZ/hePqUGCuFBxqnYfwOyBRl6Pei8yCodXuSSlVxE8W6cMYhuWGORzom2KrQH1VBZvCu4uuXafhNoMEGoevYijj9UzUPFJ03x+EsCcfBXvvI06GbGkhA68AvNE9prWBS0gB2du7N7ccc+XiHo/VhUVSjdKB2qeBOnNzpmFSZB8NxzoXN8M55Ea1UXdrjKQgeDi6XrA8KtwSL7ElQOUBVcFPcQKMDhdOLJwIDAQAB";
    const ED25519: &str = "Z5ySCSWVyxjX1dHrLNCf7bfuXQSeJ+md33jvjX+USog=";

    #[test]
    fn keys_of_all_kinds() {
        for (kind, public, means) in [
            ("rsa", RSA_512, DkimKey::Rsa { bits: 512 }),
            ("rsa", RSA_1024_BARE, DkimKey::Rsa { bits: 1024 }),
            ("rsa", RSA_2048, DkimKey::Rsa { bits: 2048 }),
            ("ed25519", ED25519, DkimKey::Ed25519),
            ("rsa", "", DkimKey::Revoked),
            ("falcon", "AAAA", DkimKey::Other("falcon".into())),
        ] {
            let text = format!("v=DKIM1; k={kind}; p={public}");
            assert_eq!(parse(&text).unwrap().key, means, "{text}");
        }
        // Folded, as zone files have it, and without what has a default.
        let (start, end) = RSA_2048.split_at(200);
        let text = format!("p={start} \t {end}; t=s:y");
        let published = parse(&text).unwrap();
        assert_eq!(published.key, DkimKey::Rsa { bits: 2048 });
        assert!(published.testing);
    }

    #[test]
    fn what_is_no_key() {
        let cut = &RSA_2048[..200];
        for bad in [
            "v=DKIM1; k=rsa".to_owned(),
            "v=DKIM2; p=".to_owned(),
            format!("p={RSA_512}; v=DKIM1"),
            format!("v=DKIM1; p={cut}"),
            "v=DKIM1; p=not base64!".to_owned(),
            format!("v=DKIM1; k=ed25519; p={RSA_512}"),
            format!("v=DKIM1; h=sha1; p={RSA_2048}"),
            format!("v=DKIM1; s=other; p={RSA_2048}"),
            "v=DKIM1; p=MAA=".to_owned(),
            "v=DKIM1; p=MIL//w==".to_owned(),
            "-----BEGIN PUBLIC KEY-----".to_owned(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
