//! The thread that reads the store for metrics, so that neither the loop nor the writer does. It
//! reads when someone scrapes, and not again before the last reading is old.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;

use crate::app::metrics::store::StoreReport;
use crate::app::metrics::{Exposition, ExpositionForm};
use crate::app::relay::Opener;
use crate::app::{App, World};
use crate::error::Result;

/// What the thread last found.
#[derive(Clone, Debug, Default)]
pub struct MetricsReading {
    /// What there is to say about the store, in the newer and in the older format.
    pub store: Option<[String; 2]>,
    /// The store could not be read.
    pub failed: bool,
    /// The memory of this program, in bytes.
    pub resident: Option<u64>,
}

/// The thread, and the channels to it.
pub struct MetricsThread {
    asked: SyncSender<()>,
    readings: Receiver<(MetricsReading, Instant)>,
    last: MetricsReading,
    /// Until then, the last one is good enough.
    good_until: Option<Instant>,
    is_reading: bool,
}

/// How long a reading is good enough.
const GOOD: Duration = Duration::from_secs(5);
/// And at least this many times as long as it took: a large store takes a part of a processor
/// that no one notices.
const PAUSE: u32 = 50;
/// How long the thread waits for a locked store.
const PATIENCE: Duration = Duration::from_secs(2);
/// The lowest priority but one: sign-ins come first, and so do their hashes.
const NICE: i32 = 15;

impl MetricsThread {
    /// Starts the thread. `waker` is called for each reading.
    pub fn start(open: Opener, world: World, waker: Arc<Waker>) -> Self {
        let (asked, questions) = sync_channel(1);
        let (sender, readings) = sync_channel(1);
        thread::spawn(move || {
            // On Linux this applies to the thread. If it fails, only the priority is missing.
            let _ = rustix::process::setpriority_process(None, NICE);
            let mut app = None;
            while questions.recv().is_ok() {
                let begun = Instant::now();
                let reading = read(&open, world, &mut app);
                let ended = Instant::now();
                let pause = GOOD.max(ended.duration_since(begun) * PAUSE);
                if sender.send((reading, ended + pause)).is_err() {
                    break;
                }
                let _ = waker.wake();
            }
        });
        Self {
            asked,
            readings,
            last: MetricsReading::default(),
            good_until: None,
            is_reading: false,
        }
    }

    /// Returns the last reading if it is good enough, and otherwise asks for a new one.
    pub fn fresh(&mut self, now: Instant) -> Option<&MetricsReading> {
        if let Ok((reading, good_until)) = self.readings.try_recv() {
            self.last = reading;
            self.good_until = Some(good_until);
            self.is_reading = false;
        }
        if self.good_until.is_some_and(|until| now < until) {
            return Some(&self.last);
        }
        if !self.is_reading {
            // The thread ends only with the program.
            self.is_reading = self.asked.try_send(()).is_ok();
        }
        None
    }

    /// Returns the last reading, however old.
    pub const fn last(&self) -> &MetricsReading {
        &self.last
    }
}

fn read(open: &Opener, world: World, app: &mut Option<App>) -> MetricsReading {
    let report = report(open, world, app);
    if report.is_err() {
        // It is opened again: the file may have been replaced.
        *app = None;
    }
    let forms = [ExpositionForm::OpenMetrics, ExpositionForm::Prometheus];
    MetricsReading {
        failed: report.is_err(),
        store: report.ok().map(|report| {
            forms.map(|form| {
                let mut metrics = Exposition::new(form);
                report.write(&mut metrics);
                report.write_attention(&[], &mut metrics);
                metrics.part()
            })
        }),
        resident: resident(),
    }
}

fn report(open: &Opener, world: World, app: &mut Option<App>) -> Result<StoreReport> {
    let app = match app {
        Some(app) => app,
        none => none.insert(App::new(open(PATIENCE)?, world)),
    };
    // Fails if the file was replaced.
    app.store.version()?;
    app.metrics()
}

/// Returns the memory of this program as the system counts it.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}
