//! A fixed number of threads that compute Argon2, so that a flood of sign-ins
//! can take neither the memory nor the processors.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;

use crate::app::relay::{Attempt, HashJob, HashOutcome, Upgrade};
use crate::error::Result;
use crate::model::hash::{Hash, Hasher};
use crate::model::password::Random;

enum HashTask {
    Check(HashJob),
    Upgrade(Upgrade, Arc<Attempt>),
}

/// What a worker has computed.
pub enum HashResult {
    /// With the time that it took, if anything was computed.
    Checked(HashJob, Result<HashOutcome>, Option<Duration>),
    Upgraded(Upgrade, Arc<Attempt>, Hash),
}

/// The threads that compute hashes.
pub struct HashWorkers {
    shared: Arc<Shared>,
    done: Receiver<HashResult>,
    threads: Vec<JoinHandle<()>>,
    /// No thread computes these, and each occupies a worker until then.
    occupied: Vec<(Instant, HashJob)>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    random: Random,
}

struct Queue {
    /// At most one for each thread; the relay decides whose turn it is.
    checks: VecDeque<HashJob>,
    /// For times when no client waits.
    upgrades: VecDeque<(Upgrade, Arc<Attempt>)>,
    /// One at a time, so that others find a free thread.
    upgrading: bool,
    /// The thread with normal priority is idle.
    first_idle: bool,
    stop: bool,
}

/// Each keeps a password in memory until it is done.
const MOST_UPGRADES: usize = 1024;
/// Idle for so long, a thread gives its memory back.
const KEEP_MEMORY: Duration = Duration::from_secs(30);
/// The lowest priority, so that remembered users are answered while others are hashed.
/// On a busy machine, such a hash might never end: if there are several threads, the
/// first one keeps the normal priority and takes work first.
const NICE: i32 = 10;

impl HashWorkers {
    /// Starts this many threads. `waker` is called for each result.
    pub fn start(threads: usize, random: Random, waker: &Arc<Waker>) -> Self {
        let (sender, done) = channel();
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                checks: VecDeque::new(),
                upgrades: VecDeque::new(),
                upgrading: false,
                first_idle: false,
                stop: false,
            }),
            wake: Condvar::new(),
            random,
        });
        let count = threads;
        let threads = (0..count)
            .map(|number| {
                let (shared, sender, waker) =
                    (Arc::clone(&shared), sender.clone(), Arc::clone(waker));
                let first = number == 0 && count > 1;
                thread::spawn(move || work(&shared, first, &sender, &waker))
            })
            .collect();
        Self {
            shared,
            done,
            threads,
            occupied: Vec::new(),
        }
    }

    /// Queues a job, whose outcome is a later [`Self::result`].
    pub fn check(&self, job: HashJob) {
        self.shared.lock().checks.push_back(job);
        // Wakes all: which of them takes it depends on the first one.
        self.shared.wake.notify_all();
    }

    /// Occupies a worker until then, and computes nothing: the password is wrong.
    pub fn occupy(&mut self, job: HashJob, until: Instant) {
        self.occupied.push((until, job));
    }

    /// Returns the results of workers that were occupied long enough.
    pub fn unoccupied(&mut self, now: Instant) -> Vec<HashResult> {
        let due = self.occupied.extract_if(.., |(until, _)| *until <= now);
        let due = due.map(|(_, job)| {
            let wrong = job.wrong();
            HashResult::Checked(job, Ok(wrong), None)
        });
        due.collect()
    }

    /// Hashes a password again once no client waits. If very many wait for this already, it
    /// does nothing: a good sign-in after the next start tries again.
    pub fn upgrade(&self, upgrade: Upgrade, attempt: &Arc<Attempt>) {
        let mut queue = self.shared.lock();
        if queue.upgrades.len() < MOST_UPGRADES {
            queue.upgrades.push_back((upgrade, Arc::clone(attempt)));
            self.shared.wake.notify_one();
        }
    }

    /// Returns the next result that is ready.
    pub fn result(&self) -> Option<HashResult> {
        self.done.try_recv().ok()
    }

    /// Drops the waiting work and ends the threads.
    pub fn stop(self) {
        let mut queue = self.shared.lock();
        queue.stop = true;
        queue.checks.clear();
        queue.upgrades.clear();
        drop(queue);
        self.shared.wake.notify_all();
        for thread in self.threads {
            // It does not panic; if it did, the process would have ended.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn next(&mut self, first: bool) -> Option<HashTask> {
        if !first && self.first_idle && self.checks.len() == 1 {
            return None;
        }
        if let Some(check) = self.checks.pop_front() {
            return Some(HashTask::Check(check));
        }
        if self.upgrading {
            return None;
        }
        let (upgrade, attempt) = self.upgrades.pop_front()?;
        self.upgrading = true;
        Some(HashTask::Upgrade(upgrade, attempt))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a task. Returns `None` once it is time to stop.
    fn next(&self, first: bool, hasher: &mut Hasher) -> Option<HashTask> {
        let mut queue = self.lock();
        loop {
            if queue.stop {
                return None;
            }
            let task = queue.next(first);
            if first {
                queue.first_idle = task.is_none();
            }
            if task.is_some() {
                return task;
            }
            let (woken, waited) = self
                .wake
                .wait_timeout(queue, KEEP_MEMORY)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if waited.timed_out() {
                *hasher = Hasher::default();
            }
        }
    }
}

fn work(shared: &Shared, first: bool, done: &Sender<HashResult>, waker: &Waker) {
    if !first {
        // On Linux this applies to the thread. If it fails, only the priority is missing.
        let _ = rustix::process::setpriority_process(None, NICE);
    }
    let mut hasher = Hasher::default();
    while let Some(task) = shared.next(first, &mut hasher) {
        let answer = match task {
            HashTask::Check(job) => {
                let begun = Instant::now();
                let outcome = job.run(&mut hasher);
                HashResult::Checked(job, outcome, Some(begun.elapsed()))
            }
            HashTask::Upgrade(upgrade, attempt) => {
                let hash = hasher.hash(&attempt.password, upgrade.cost, shared.random);
                shared.lock().upgrading = false;
                match hash {
                    Ok(hash) => HashResult::Upgraded(upgrade, attempt, hash),
                    Err(_) => continue,
                }
            }
        };
        if done.send(answer).is_err() || waker.wake().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hash::Cost;
    use crate::model::password::PasswordId;

    #[test]
    fn waiting_clients_go_before_upgrades_which_run_one_at_a_time() {
        let attempt = Arc::new(Attempt {
            username: String::new(),
            password: b"secret".to_vec().into(),
            address: None,
            secured: true,
            since: Instant::now(),
            latest: Instant::now(),
        });
        let upgrade = || Upgrade {
            username: "shop@example.com".parse().unwrap(),
            password_id: PasswordId::stored("AAAAAAAA".into()),
            old: String::new(),
            cost: Cost::default(),
        };
        let mut queue = Queue {
            checks: VecDeque::new(),
            upgrades: VecDeque::from([
                (upgrade(), Arc::clone(&attempt)),
                (upgrade(), Arc::clone(&attempt)),
            ]),
            upgrading: false,
            first_idle: true,
            stop: false,
        };
        for digest in [[0; 32], [1; 32]] {
            queue.checks.push_back(HashJob {
                digest,
                attempt: Arc::clone(&attempt),
                hashes: Vec::new(),
                cost: Cost::default(),
                may_match: true,
                named: false,
                may_enter: true,
                user_exists: false,
                generation: 1,
            });
        }
        assert!(matches!(queue.next(false), Some(HashTask::Check(_))));
        assert!(queue.next(false).is_none(), "left to the first thread");
        assert!(matches!(queue.next(true), Some(HashTask::Check(_))));
        assert!(matches!(queue.next(false), Some(HashTask::Upgrade(..))));
        assert!(queue.next(false).is_none(), "another one is under way");
        queue.upgrading = false;
        assert!(matches!(queue.next(false), Some(HashTask::Upgrade(..))));
        assert!(queue.next(false).is_none());
    }

    #[test]
    fn a_job_that_cannot_match_takes_no_thread_and_is_wrong() {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let mut hashing = HashWorkers::start(0, |_| Ok(()), &waker);
        let job = |digest| HashJob {
            digest,
            attempt: Arc::new(Attempt {
                username: String::new(),
                password: b"smtpc_".to_vec().into(),
                address: None,
                secured: true,
                since: Instant::now(),
                latest: Instant::now(),
            }),
            hashes: Vec::new(),
            cost: Cost::default(),
            may_match: false,
            named: false,
            may_enter: true,
            user_exists: false,
            generation: 1,
        };
        let now = Instant::now();
        hashing.occupy(job([2; 32]), now + Duration::from_secs(2));
        hashing.occupy(job([1; 32]), now + Duration::from_secs(1));
        assert!(hashing.unoccupied(now).is_empty());
        for (second, digest) in [(1, [1; 32]), (2, [2; 32])] {
            let done = hashing.unoccupied(now + Duration::from_secs(second));
            let [HashResult::Checked(job, Ok(outcome), None)] = &done[..] else {
                panic!("not one that is wrong");
            };
            assert_eq!((job.digest, outcome.digest), (digest, digest));
            assert!(outcome.matched.is_none());
        }
    }
}
