use super::*;

/// Of age-keygen.
const SECRET: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

// Its type is that of the real one.
#[expect(clippy::unnecessary_wraps)]
fn random(bytes: &mut [u8]) -> crate::error::Result<()> {
    bytes.fill(7);
    Ok(())
}

fn identity() -> Identity {
    Identity::all_of(SECRET).unwrap().remove(0)
}

fn encrypted(plain: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let key = encrypt(&mut &plain[..], &mut sealed, recipients, random).unwrap();
    read_again(&mut &sealed[..], &key).unwrap();
    sealed
}

fn decrypted(sealed: &[u8], identities: &[Identity]) -> Result<Vec<u8>, AgeError> {
    let mut plain = Vec::new();
    decrypt(&mut &sealed[..], &mut plain, identities)?;
    Ok(plain)
}

#[test]
fn every_length_comes_back() {
    let other = Identity::all_of(&format!("# of another\n\n{SECRET}\n")).unwrap();
    let recipient = identity().recipient();
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
        let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
        let sealed = encrypted(&plain, &[recipient, recipient]);
        assert!(decrypted(&sealed, &other).unwrap() == plain, "{length}");
    }
}

#[test]
fn what_was_changed_is_seen() {
    let recipient = identity().recipient();
    let sealed = encrypted(&vec![1; CHUNK + 100], &[recipient]);
    for at in 0..sealed.len() {
        // All of the header, some of the rest.
        if at > 300 && at % 9973 != 0 {
            continue;
        }
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(decrypted(&changed, &[identity()]).is_err(), "{at}");
        assert!(
            decrypted(&sealed[..at], &[identity()]).is_err(),
            "cut at {at}"
        );
    }
    // A whole chunk is missing.
    let cut = sealed.len() - 100 - TAG;
    assert!(decrypted(&sealed[..cut], &[identity()]).is_err());
    let longer = [&sealed[..], b"x"].concat();
    assert!(decrypted(&longer, &[identity()]).is_err());
}

#[test]
fn another_key_opens_nothing() {
    let sealed = encrypted(b"plain", &[identity().recipient()]);
    let other = Identity(Zeroizing::new([3; 32]));
    assert!(matches!(
        decrypted(&sealed, &[other]),
        Err(AgeError::OtherKey)
    ));
    assert!(matches!(decrypted(&sealed, &[]), Err(AgeError::OtherKey)));
}

/// From the tests of the format, C2SP/CCTV: age/testdata/x25519.
#[test]
fn keys_are_those_of_age() {
    let secret = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";
    let identity = Identity::all_of(secret).unwrap().remove(0);
    let file = "age-encryption.org/v1
-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc
EmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U
--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0
";
    let key = header::read(&mut file.as_bytes(), &[identity]);
    assert!(key.is_ok(), "{:?}", key.err());
}

#[test]
fn only_public_keys_are_recipients() {
    let error = |text: &str| text.parse::<Recipient>().unwrap_err().to_string();
    assert!(!error(SECRET).contains("GFPYY"));
    for other in ["", "age1", "ssh-ed25519 AAAA", "age1pq1xxxx", "age1qqqq"] {
        assert!(error(other).contains("recipient"), "{other}");
    }
    for bad in [
        "",
        "# only a comment\n",
        "AGE-SECRET-KEY-1XXXX",
        "AGE-PLUGIN-X-1",
    ] {
        assert!(Identity::all_of(bad).is_err(), "{bad}");
    }
}
