//! A password read from a pipe or a file.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Reads everything, up to 4096 bytes, and removes one trailing newline. The buffer never grows:
/// a growing buffer leaves copies behind.
pub fn read_line(source: &mut dyn Read) -> io::Result<Zeroizing<Vec<u8>>> {
    const MAX: usize = 4096;
    let mut bytes = Zeroizing::new(vec![0; MAX + 1]);
    let mut filled = 0;
    while filled <= MAX {
        match source.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    if filled > MAX {
        return Err(io::Error::other("it is longer than 4096 bytes"));
    }
    if bytes[..filled].ends_with(b"\n") {
        filled -= 1;
        if bytes[..filled].ends_with(b"\r") {
            filled -= 1;
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
