//! The signals of the system, as events of the loop: stop, restart, read the settings again.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream as PipeEnd;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};

/// The signals that the server handles, as events of its loop.
pub struct Signals(Vec<Signal>);

struct Signal {
    number: i32,
    pipe: UnixStream,
    came: bool,
}

impl Signals {
    /// Listens to all signals, with the tokens from `first` on.
    pub fn listen(registry: &Registry, first: usize) -> io::Result<Self> {
        let mut signals = Vec::new();
        for (i, number) in [SIGTERM, SIGINT, SIGHUP, SIGUSR2].into_iter().enumerate() {
            let mut pipe = signal_pipe(number)?;
            registry.register(&mut pipe, Token(first + i), Interest::READABLE)?;
            signals.push(Signal {
                number,
                pipe,
                came: false,
            });
        }
        Ok(Self(signals))
    }

    /// Notes that the pipe of this signal is readable.
    pub fn came(&mut self, i: usize) {
        self.0[i].came = true;
    }

    /// Returns the signals that have come since the last call.
    pub fn take(&mut self) -> Vec<i32> {
        let came = self.0.iter_mut().filter(|signal| signal.came);
        came.map(|signal| {
            signal.came = false;
            let mut buffer = [0; 16];
            while matches!(signal.pipe.read(&mut buffer), Ok(n) if n > 0) {}
            signal.number
        })
        .collect()
    }

    /// Returns whether a signal to stop has come since then.
    pub fn ends(&mut self) -> bool {
        self.0.iter_mut().any(|signal| {
            let end = matches!(signal.number, SIGTERM | SIGINT);
            end && matches!(signal.pipe.read(&mut [0; 16]), Ok(n) if n > 0)
        })
    }
}

/// Returns a pipe that becomes readable when the signal comes.
fn signal_pipe(signal: i32) -> io::Result<UnixStream> {
    let (ours, theirs) = PipeEnd::pair()?;
    ours.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal, theirs)?;
    Ok(UnixStream::from_std(ours))
}
