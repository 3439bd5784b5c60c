//! SHA256-CRYPT (`$5$`) and SHA512-CRYPT (`$6$`). Its crate computes them, but reads
//! only the salts that it would make itself.

use sha_crypt::{Params, sha256_crypt, sha512_crypt};

/// The order of the digest's bytes in the hash, by the specification.
const ORDER_256: [usize; 32] = [
    20, 10, 0, 11, 1, 21, 2, 22, 12, 23, 13, 3, 14, 4, 24, 5, 25, 15, 26, 16, 6, 17, 7, 27, 8, 28,
    18, 29, 19, 9, 30, 31,
];
const ORDER_512: [usize; 64] = [
    42, 21, 0, 1, 43, 22, 23, 2, 44, 45, 24, 3, 4, 46, 25, 26, 5, 47, 48, 27, 6, 7, 49, 28, 29, 8,
    50, 51, 30, 9, 10, 52, 31, 32, 11, 53, 54, 33, 12, 13, 55, 34, 35, 14, 56, 57, 36, 15, 16, 58,
    37, 38, 17, 59, 60, 39, 18, 19, 61, 40, 41, 20, 62, 63,
];

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum ShaVariant {
    Sha256,
    Sha512,
}

impl ShaVariant {
    /// Returns the bytes that the letters after the salt encode.
    pub(super) fn compute(self, rounds: Params, salt: &[u8], password: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let digest = sha256_crypt(password, salt, rounds);
                ORDER_256.map(|at| digest[at]).into()
            }
            Self::Sha512 => {
                let digest = sha512_crypt(password, salt, rounds);
                ORDER_512.map(|at| digest[at]).into()
            }
        }
    }
}
