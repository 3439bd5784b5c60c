//! Good tokens of each kind, and a table of hostile ones.

use data_encoding::BASE64URL_NOPAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use ring::{digest, hmac};

use super::*;

const NOW: i64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"e1"}"#;
/// A modulus and a token that openssl signed, until 2033.
const RS256: &str = include_str!("rs256.txt");

struct Signer {
    es256: EcdsaKeyPair,
    eddsa: Ed25519KeyPair,
}

impl Signer {
    fn new() -> Self {
        let (rng, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &rng).unwrap();
        let es256 = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &rng).unwrap();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
        let eddsa = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self { es256, eddsa }
    }

    fn es256_key(&self) -> String {
        let point = self.es256.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| BASE64URL.encode(part));
        format!(r#"{{"kty":"EC","crv":"P-256","kid":"e1","use":"sig","x":"{x}","y":"{y}"}}"#)
    }

    fn keys(&self) -> KeySet {
        let ed = BASE64URL.encode(self.eddsa.public_key().as_ref());
        let rsa = RS256.lines().next().unwrap();
        let set = [
            self.es256_key(),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"o1","alg":"EdDSA","x":"{ed}"}}"#),
            format!(r#"{{"kty":"RSA","kid":"r1","n":"{rsa}","e":"AQAB"}}"#),
            // As others publish them: for encryption, and of an unknown kind.
            format!(r#"{{"kty":"RSA","kid":"r2","use":"enc","n":"{rsa}","e":"AQAB"}}"#),
            r#"{"kty":"EC","crv":"P-521","kid":"e5"}"#.to_owned(),
        ];
        let keys = parse_keys(&set).unwrap();
        assert_eq!(keys.count(), 3);
        keys
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let [header_part, claims] = [header, claims].map(|part| BASE64URL.encode(part.as_bytes()));
        let signed = format!("{header_part}.{claims}");
        let signature = if header.contains("Ed") {
            self.eddsa.sign(signed.as_bytes()).as_ref().to_vec()
        } else {
            let signature = self.es256.sign(&SystemRandom::new(), signed.as_bytes());
            signature.unwrap().as_ref().to_vec()
        };
        format!("{signed}.{}", BASE64URL.encode(&signature))
    }
}

fn parse_keys(keys: &[String]) -> Result<KeySet, &'static str> {
    KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
}

fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://id.example.com".into(),
        audience: "smtp".into(),
        claim: "email".into(),
        matches: Vec::new(),
        scopes: Vec::new(),
    }
}

/// Claims that sign in, with something added.
fn with(more: &str) -> String {
    format!(
        r#"{{"iss":"https://id.example.com","aud":"smtp","exp":{},"email":"shop@example.com"{more}}}"#,
        NOW + 300
    )
}

/// Claims that sign in, but for one replacement.
fn but(old: &str, new: &str) -> String {
    let claims = with("");
    assert!(claims.contains(old), "{old}");
    claims.replace(old, new)
}

fn verified(
    token: &str,
    keys: &KeySet,
    rules: &TokenRules,
    now: i64,
) -> Result<VerifiedToken, TokenFault> {
    UnverifiedToken::parse(token.as_bytes())?.verify(keys, rules, Time::from_epoch(now))
}

#[test]
fn the_three_algorithms_sign_in() {
    let signer = Signer::new();
    let keys = signer.keys();
    for header in [
        HEADER,
        r#"{"alg":"ES256","typ":"JWT","kid":"e1"}"#,
        r#"{"alg":"ES256","typ":"application/at+jwt"}"#,
        r#"{"alg":"EdDSA","typ":"at+jwt","kid":"o1"}"#,
    ] {
        let token = signer.sign(header, &with(""));
        let found = verified(&token, &keys, &rules(), NOW).expect(header);
        assert_eq!(found.username.as_str(), "shop@example.com");
        assert_eq!(found.expires_at, Time::from_epoch(NOW + 300));
        let parsed = UnverifiedToken::parse(token.as_bytes()).unwrap();
        assert_eq!(parsed.issuer(), Some("https://id.example.com"));
    }
    let token = RS256.lines().nth(1).unwrap();
    assert!(verified(token, &keys, &rules(), NOW).is_ok());
    let late = verified(token, &keys, &rules(), 2_000_000_060);
    assert_eq!(late, Err(TokenFault::Expired));
}

#[test]
fn claims_are_read_as_issuers_write_them() {
    let signer = Signer::new();
    let keys = signer.keys();
    let mut rules = rules();
    rules.matches = vec![("sub".into(), "shop".into())];
    rules.scopes = vec!["smtp.send".into()];
    let more = r#","sub":"shop","scope":"openid smtp.send","nbf":1800000060,"iat":1799999999.5"#;
    for claims in [
        with(more),
        with(more).replace(
            r#""scope":"openid smtp.send""#,
            r#""scp":["smtp.send","x"]"#,
        ),
        with(more).replace(r#""smtp","#, r#"["web","smtp"],"#),
        with(more).replace("shop@example.com", "SHOP@Example.COM"),
        with(more).replace(r#","sub""#, r#","email_verified":true,"sub""#),
    ] {
        let found = verified(&signer.sign(HEADER, &claims), &keys, &rules, NOW);
        let found = found.unwrap_or_else(|fault| panic!("{fault}: {claims}"));
        assert_eq!(found.username.as_str(), "shop@example.com");
    }
    let international = but("shop@example.com", "shop@bücher.example");
    let found = verified(
        &signer.sign(HEADER, &international),
        &keys,
        &self::rules(),
        NOW,
    );
    assert_eq!(
        found.unwrap().username.as_str(),
        "shop@xn--bcher-kva.example"
    );
    for bad in [
        with(""),
        with(&more.replace("\"shop\"", "\"other\"")),
        with(&more.replace("\"shop\"", "[\"shop\"]")),
        with(&more.replace("smtp.send", "smtp.sender")),
        with(&more.replace("openid smtp.send", "SMTP.SEND")),
        with(&more.replace("1800000060", "1800000061")),
        with(&more.replace("1800000060", "\"1\"")),
        with(&more.replace("1799999999.5", "1800000099")),
        with(&format!(r#"{more},"email_verified":false"#)),
        with(&format!(r#"{more},"email_verified":"false""#)),
    ] {
        let found = verified(&signer.sign(HEADER, &bad), &keys, &rules, NOW);
        assert!(found.is_err(), "{bad}");
    }
}

#[test]
fn a_token_expires_a_minute_late_and_no_later() {
    let signer = Signer::new();
    let keys = signer.keys();
    let token = signer.sign(HEADER, &with(""));
    assert!(verified(&token, &keys, &rules(), NOW + 359).is_ok());
    let late = verified(&token, &keys, &rules(), NOW + 360);
    assert_eq!(late, Err(TokenFault::Expired));
}

#[test]
fn hostile_claims_are_refused() {
    let signer = Signer::new();
    let keys = signer.keys();
    let exp = format!("{}", NOW + 300);
    let deep = format!(r#","x":{}{}"#, "[".repeat(3_000), "]".repeat(3_000));
    for claims in [
        but(&exp, &format!("\"{exp}\"")),
        but(&exp, "1e400"),
        but(&exp, "1e300"),
        but(&exp, "-1"),
        but(&exp, "18446744073709551615"),
        but(&exp, "null"),
        but(&exp, "true"),
        but(&exp, "[1900000000]"),
        but("\"exp\"", "\"exp_\""),
        but("\"smtp\"", "\"smtp \""),
        but("\"smtp\"", "[]"),
        but("\"smtp\"", r#"["smtp",1]"#),
        but("\"smtp\"", r#"{"smtp":true}"#),
        but("https://id.example.com", "https://id.example.com/"),
        but("https://id.example.com", "https://id.example.org"),
        but(
            r#""https://id.example.com""#,
            r#"["https://id.example.com"]"#,
        ),
        but("shop@example.com", "shop"),
        but("shop@example.com", "shop@example.com\\u0000"),
        but("shop@example.com", "shop@example.com\\n"),
        but(
            "shop@example.com",
            &format!("shop@{}example.com", "a.".repeat(200)),
        ),
        but(r#""shop@example.com""#, r#"["shop@example.com"]"#),
        with(r#","email":"root@example.com""#),
        with(r#","\u0065mail":"root@example.com""#),
        with(r#","x":{"a":1,"a":2}"#),
        with(&deep),
        with(r#","x":[[[[[[[[[]]]]]]]]]"#),
        with(",") + "x",
        "[]".into(),
        "null".into(),
    ] {
        let found = verified(&signer.sign(HEADER, &claims), &keys, &rules(), NOW);
        assert!(found.is_err(), "{claims:.200}");
    }
}

#[test]
fn hostile_headers_are_refused() {
    let signer = Signer::new();
    let keys = signer.keys();
    let more = |more: &str| HEADER.replace('}', &format!(",{more}}}"));
    for header in [
        r#"{"alg":"none","typ":"JWT","kid":"e1"}"#,
        r#"{"alg":"es256","typ":"JWT","kid":"e1"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"e1"}"#,
        r#"{"alg":"ES256","typ":"JWT","kid":"r1"}"#,
        r#"{"alg":["ES256"],"typ":"JWT","kid":"e1"}"#,
        r#"{"alg":"ES256","kid":"e1"}"#,
        r#"{"alg":"ES256","typ":"dpop+jwt","kid":"e1"}"#,
        r#"{"alg":"ES256","typ":"JWT","kid":1}"#,
        r#"{"alg":"ES256","alg":"ES256","typ":"JWT","kid":"e1"}"#,
        r#"{"typ":"JWT","kid":"e1"}"#,
        &more(r#""jku":"https://evil.example/jwks""#),
        &more(r#""x5u":"https://evil.example/cert""#),
        &more(r#""x5c":[]"#),
        &more(r#""crit":["exp"]"#),
        &more(r#""b64":false"#),
        &more(&format!(r#""jwk":{}"#, signer.es256_key())),
    ] {
        let found = verified(&signer.sign(header, &with("")), &keys, &rules(), NOW);
        assert!(found.is_err(), "{header}");
    }
    let unknown = r#"{"alg":"ES256","typ":"JWT","kid":"e2"}"#;
    let found = verified(&signer.sign(unknown, &with("")), &keys, &rules(), NOW);
    assert_eq!(found, Err(TokenFault::UnknownKey));
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let signer = Signer::new();
    let keys = signer.keys();
    let token = Signer::new().sign(HEADER, &with(""));
    let found = verified(&token, &keys, &rules(), NOW);
    assert_eq!(found, Err(TokenFault::Signature));

    // The public key as the secret of an HMAC: the header chooses nothing.
    let header = r#"{"alg":"HS256","typ":"JWT","kid":"e1"}"#;
    let [header, claims] = [header, &with("")].map(|part| BASE64URL.encode(part.as_bytes()));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, signer.es256.public_key().as_ref());
    let tag = hmac::sign(&secret, format!("{header}.{claims}").as_bytes());
    let token = format!("{header}.{claims}.{}", BASE64URL.encode(tag.as_ref()));
    assert!(matches!(
        verified(&token, &keys, &rules(), NOW),
        Err(TokenFault::Header(_))
    ));

    let good = signer.sign(HEADER, &with(""));
    let (content, signature) = good.rsplit_once('.').unwrap();
    let other = signer.sign(HEADER, &with(r#","x":1"#));
    let zero = BASE64URL.encode(&[0; 64]);
    let hash = BASE64URL.encode(digest::digest(&digest::SHA256, b"x").as_ref());
    for signature in [other.rsplit_once('.').unwrap().1, &zero, &hash, "AA"] {
        let found = verified(&format!("{content}.{signature}"), &keys, &rules(), NOW);
        assert_eq!(found, Err(TokenFault::Signature), "{signature}");
    }
    for malformed in [
        String::new(),
        "..".into(),
        content.into(),
        format!("{content}."),
        format!("{good}."),
        format!("{good}.AA"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{content}.+{}", &signature[1..]),
        good[..good.len() - 1].to_owned(),
        "A".repeat(64 * 1024),
        signer.sign(
            HEADER,
            &with(&format!(r#","x":"{}""#, "x".repeat(64 * 1024))),
        ),
    ] {
        let found = UnverifiedToken::parse(malformed.as_bytes());
        assert!(
            matches!(found, Err(TokenFault::Malformed(_))),
            "{malformed:.80}"
        );
    }
}

#[test]
fn hostile_key_sets_are_refused() {
    let signer = Signer::new();
    let key = signer.es256_key();
    let add = |more: &str| vec![key.replace('}', &format!(",{more}}}"))];
    let rsa = RS256.lines().next().unwrap();
    let with_rsa = |n: &str, e: &str| vec![format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)];
    assert!(parse_keys(&add(r#""alg":"ES256""#)).is_ok());
    assert!(parse_keys(&with_rsa(rsa, "AQAB")).is_ok());
    for bad in [
        vec![],
        vec![key.clone(), key.clone()],
        vec![key.replace("e1", ""); 65],
        vec!["1".to_owned()],
        add(r#""d":"AA""#),
        add(r#""d":null"#),
        add(r#""kid":"e2""#),
        add(r#""alg":"ES384""#),
        add(r#""alg":1"#),
        add(r#""key_ops":["encrypt"]"#),
        add(r#""key_ops":"verify""#),
        vec![key.replace("\"sig\"", "\"enc\"")],
        vec![key.replace("\"e1\"", "7")],
        vec![key.replace("\"x\":\"", "\"x\":\"AAAA")],
        vec![key.replace("\"y\"", "\"z\"")],
        vec![r#"{"kty":"oct","k":"AAAA"}"#.to_owned()],
        vec![r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.to_owned()],
        with_rsa(&rsa[..200], "AQAB"),
        with_rsa(rsa, "Aw"),
        with_rsa(rsa, "AQAA"),
        with_rsa(&format!("{rsa}=="), "AQAB"),
    ] {
        assert!(parse_keys(&bad).is_err(), "{bad:?}");
    }
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    let long = format!(r#"{{"keys":[{key}],"x":"{}"}}"#, "x".repeat(MAX_KEY_SET));
    assert!(KeySet::parse(long.as_bytes()).is_err());
}
