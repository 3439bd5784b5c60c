//! What the processors can hash, and nothing else: what making many passwords is
//! measured by.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// So many hashes at the program's own cost, each thread with memory of its own.
pub fn pure(threads: usize, hashes: u32) -> Duration {
    let next = AtomicU32::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let params = Params::new(19_456, 2, 1, Some(32)).expect("good parameters");
                let mut memory = vec![Block::default(); params.block_count()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                while next.fetch_add(1, Ordering::Relaxed) < hashes {
                    let mut tag = [0; 32];
                    argon2
                        .hash_password_into_with_memory(
                            b"vague-Otter-61-h",
                            &[7; 16],
                            &mut tag,
                            &mut memory,
                        )
                        .expect("a hash");
                    assert_ne!(tag, [0; 32]);
                }
            });
        }
    });
    start.elapsed()
}
