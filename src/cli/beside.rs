//! A long list is formatted in a thread of its own: that takes as long as reading it.

use std::mem;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::error::{Error, Result};

/// As many wait to be written, and are being read, at a time; fewer are written where
/// they were read.
const BATCH: usize = 500;

pub fn written_beside<T: Send>(
    read: impl FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<()>,
    write: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let mut write = Some(write);
        let mut writer = None;
        let mut batch = Vec::new();
        let mut outcome = read(&mut |item| {
            batch.push(item);
            if batch.len() < BATCH {
                return Ok(());
            }
            let full = mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if let Some(write) = write.take() {
                writer = Some(start(scope, write)?);
            }
            match &writer {
                Some((sender, _)) => sender.send(full).map_err(|_| stopped()),
                None => Err(stopped()),
            }
        });
        // What was read before something failed is written.
        let Some((sender, thread)) = writer else {
            return match write {
                Some(write) => batch.into_iter().try_for_each(write).and(outcome),
                None => outcome,
            };
        };
        if sender.send(batch).is_err() {
            outcome = Err(stopped());
        }
        drop(sender);
        // Where it stopped, it says why.
        thread
            .join()
            .unwrap_or_else(|_| Err(stopped()))
            .and(outcome)
    })
}

type Writer<'scope, T> = (SyncSender<Vec<T>>, ScopedJoinHandle<'scope, Result<()>>);

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut write: impl FnMut(T) -> Result<()> + Send + 'scope,
) -> Result<Writer<'scope, T>> {
    let (sender, batches) = sync_channel::<Vec<T>>(1);
    let thread = thread::Builder::new()
        .spawn_scoped(scope, move || {
            batches.into_iter().flatten().try_for_each(&mut write)
        })
        .map_err(|e| Error::System(format!("no thread to write with: {e}")))?;
    Ok((sender, thread))
}

fn stopped() -> Error {
    Error::System("the list cannot be written".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_written_in_order() {
        for n in [0, 1, 499, 500, 501, 2_345] {
            let mut written = Vec::new();
            let write = |i| {
                written.push(i);
                Ok(())
            };
            written_beside(|each| (0..n).try_for_each(each), write).unwrap();
            assert_eq!(written, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_failed_is_said() {
        let closed = |i: i32| {
            if i >= 700 {
                return Err(Error::OutputClosed);
            }
            Ok(())
        };
        let endless = written_beside(|each| (0..).try_for_each(each), closed);
        assert!(matches!(endless, Err(Error::OutputClosed)));

        for n in [3, 1_203] {
            let mut written = 0;
            let failed = written_beside(
                |each| {
                    (0..n).try_for_each(each)?;
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
