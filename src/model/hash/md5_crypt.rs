//! MD5-CRYPT (`$1$`) and Apache's APR1 (`$apr1$`), as FreeBSD's crypt(3) made
//! it in 1994. No kept crate has it; the digest is `RustCrypto`'s.

use md5::{Digest as _, Md5};

/// The number of rounds, which is fixed.
const ROUNDS: u32 = 1000;
const CRYPT64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 22 characters after the salt. The magic is `$1$` or `$apr1$`.
pub(super) fn compute(magic: &[u8], salt: &[u8], password: &[u8]) -> [u8; 22] {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut outer = Md5::new()
        .chain_update(password)
        .chain_update(magic)
        .chain_update(salt);
    for part in password.chunks(16) {
        outer.update(&inner[..part.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // An accident of the first program, kept by all since.
        let byte = if bits & 1 == 1 { 0 } else { password[0] };
        outer.update([byte]);
        bits >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..ROUNDS {
        let odd = round & 1 == 1;
        let mut next = Md5::new();
        if odd {
            next.update(password);
        } else {
            next.update(digest);
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if odd {
            next.update(digest);
        } else {
            next.update(password);
        }
        digest = next.finalize();
    }
    encoded(&digest)
}

fn encoded(digest: &[u8]) -> [u8; 22] {
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = [0; 22];
    let mut put = |at: usize, mut value: u32, n: usize| {
        for slot in &mut text[at..at + n] {
            *slot = CRYPT64[(value & 0x3f) as usize];
            value >>= 6;
        }
    };
    for (i, [a, b, c]) in ORDER.into_iter().enumerate() {
        let byte = |at: usize| u32::from(digest[at]);
        put(4 * i, byte(a) << 16 | byte(b) << 8 | byte(c), 4);
    }
    put(20, u32::from(digest[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_openssl() {
        // openssl passwd -1 -salt saltsalt password; the same with -apr1.
        let crypt = |magic: &str| compute(magic.as_bytes(), b"saltsalt", b"password");
        assert_eq!(&crypt("$1$"), b"qjXMvbEw8oaL.CzflDtaK/");
        assert_eq!(&crypt("$apr1$"), b"yAAkm4libquA.ZWLHbSBq/");
    }
}
