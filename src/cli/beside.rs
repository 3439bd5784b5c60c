//! A long list is formatted in a thread of its own: that takes half as long as reading
//! it.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::error::{Error, Result};

/// What is read piece by piece is written beside, if it is more than one piece. Pieces
/// that are written go back to whoever reads: memory is used again, or given back by the
/// thread that took it. Otherwise both threads wait for each other so often that two
/// processors are hardly faster than one.
pub fn written_beside<T: Send>(
    read: impl FnOnce(&mut dyn FnMut(Vec<T>) -> Result<Vec<T>>) -> Result<()>,
    write: impl FnMut(&T) -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let mut write = Some(write);
        let mut writer = None;
        let mut first = None;
        let outcome = read(&mut |piece| {
            if first.is_none() && writer.is_none() {
                first = Some(piece);
                return Ok(Vec::new());
            }
            if let (Some(write), Some(first)) = (write.take(), first.take()) {
                writer = Some(Writer::start(scope, write, first)?);
            }
            let writer = writer.as_ref().ok_or_else(stopped)?;
            writer.full.send(piece).map_err(|_| stopped())?;
            // Two are on their way; it waits for memory no more than for the writer.
            Ok(writer.written.try_recv().unwrap_or_default())
        });
        // What was read before something failed is written.
        if let (Some(first), Some(write)) = (first, write) {
            return first.iter().try_for_each(write).and(outcome);
        }
        let Some(writer) = writer else {
            return outcome;
        };
        drop(writer.full);
        // Where it stopped, it says why.
        writer
            .thread
            .join()
            .unwrap_or_else(|_| Err(stopped()))
            .and(outcome)
    })
}

struct Writer<'scope, T> {
    full: SyncSender<Vec<T>>,
    written: Receiver<Vec<T>>,
    thread: ScopedJoinHandle<'scope, Result<()>>,
}

impl<'scope, T: Send + 'scope> Writer<'scope, T> {
    fn start(
        scope: &'scope Scope<'scope, '_>,
        mut write: impl FnMut(&T) -> Result<()> + Send + 'scope,
        first: Vec<T>,
    ) -> Result<Self> {
        let (full, pieces) = sync_channel::<Vec<T>>(1);
        let (back, written) = channel();
        let thread = thread::Builder::new()
            .spawn_scoped(scope, move || {
                std::iter::once(first).chain(pieces).try_for_each(|piece| {
                    piece.iter().try_for_each(&mut write)?;
                    // At the end nobody takes it any more.
                    let _ = back.send(piece);
                    Ok(())
                })
            })
            .map_err(|e| Error::System(format!("no thread to write with: {e}")))?;
        Ok(Self {
            full,
            written,
            thread,
        })
    }
}

fn stopped() -> Error {
    Error::System("the list cannot be written".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a store reads.
    fn in_pieces(
        all: impl IntoIterator<Item = i32>,
        take: &mut dyn FnMut(Vec<i32>) -> Result<Vec<i32>>,
    ) -> Result<()> {
        let mut all = all.into_iter().peekable();
        let mut piece = Vec::new();
        while all.peek().is_some() {
            piece.clear();
            piece.extend(all.by_ref().take(5));
            piece = take(piece)?;
        }
        Ok(())
    }

    #[test]
    fn all_of_it_is_written_in_order() {
        for n in [0, 1, 4, 5, 6, 23, 2_345] {
            let mut written = Vec::new();
            let write = |i: &i32| {
                written.push(*i);
                Ok(())
            };
            written_beside(|take| in_pieces(0..n, take), write).unwrap();
            assert_eq!(written, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_failed_is_said() {
        let closed = |i: &i32| {
            if *i >= 700 {
                return Err(Error::OutputClosed);
            }
            Ok(())
        };
        let endless = written_beside(|take| in_pieces(0.., take), closed);
        assert!(matches!(endless, Err(Error::OutputClosed)));

        for n in [0, 3, 1_203] {
            let mut written = 0;
            let failed = written_beside(
                |take| {
                    in_pieces(0..n, take)?;
                    Err(Error::Cancelled)
                },
                |_| {
                    written += 1;
                    Ok(())
                },
            );
            assert!(matches!(failed, Err(Error::Cancelled)));
            assert_eq!(written, n, "what was read before it is written");
        }
    }
}
