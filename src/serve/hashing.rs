//! A fixed number of threads that compute Argon2, so that a flood of sign-ins
//! can take neither the memory nor the processors.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;

use crate::app::relay::{Attempt, Digest, Job, Outcome, Upgrade};
use crate::error::Result;
use crate::model::hash::{Hash, Hasher};
use crate::model::password::Random;

enum Task {
    Check(Job),
    Upgrade(Upgrade, Arc<Attempt>),
}

pub enum Done {
    Checked(Digest, Result<Outcome>),
    Upgraded(Upgrade, Hash),
}

pub struct Hashing {
    shared: Arc<Shared>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    random: Random,
}

struct Queue {
    checks: VecDeque<Job>,
    /// How many of them, from the first on, are of nobody who guesses.
    urgent: usize,
    /// For when nobody waits.
    upgrades: VecDeque<(Upgrade, Arc<Attempt>)>,
    stop: bool,
    /// What one check took lately.
    each: Duration,
}

/// A check that would be done later than this is not begun: mail servers give
/// up at 10 s.
const LONGEST_WAIT: Duration = Duration::from_secs(6);
/// Each keeps a password in memory until it is done.
const MOST_UPGRADES: usize = 1024;
/// Idle for so long, a thread gives its memory back.
const KEEP_MEMORY: Duration = Duration::from_secs(30);
/// Below everything else: who is remembered is answered while others hash.
const NICE: i32 = 10;

impl Hashing {
    pub fn start(threads: usize, random: Random, waker: &Arc<Waker>) -> Self {
        let (sender, done) = channel();
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                checks: VecDeque::new(),
                urgent: 0,
                upgrades: VecDeque::new(),
                stop: false,
                each: Duration::from_millis(30),
            }),
            wake: Condvar::new(),
            random,
        });
        let threads = (0..threads)
            .map(|_| {
                let (shared, sender, waker) =
                    (Arc::clone(&shared), sender.clone(), Arc::clone(waker));
                thread::spawn(move || work(&shared, &sender, &waker))
            })
            .collect();
        Self {
            shared,
            done,
            threads,
        }
    }

    /// Says no where it would take too long.
    pub fn check(&self, job: Job) -> bool {
        let mut queue = self.shared.lock();
        let before = if job.urgent {
            queue.urgent
        } else {
            queue.checks.len()
        };
        let ahead = u32::try_from(before / self.threads.len()).unwrap_or(u32::MAX);
        if queue.each.saturating_mul(ahead) > LONGEST_WAIT {
            return false;
        }
        if job.urgent {
            // After those that are, before those that are not.
            let place = queue.urgent;
            queue.checks.insert(place, job);
            queue.urgent += 1;
        } else {
            queue.checks.push_back(job);
        }
        self.shared.wake.notify_one();
        true
    }

    /// Once nobody waits; not where very many are to be done: then a good sign-in
    /// after the next start tries again.
    pub fn upgrade(&self, upgrade: Upgrade, attempt: &Arc<Attempt>) {
        let mut queue = self.shared.lock();
        if queue.upgrades.len() < MOST_UPGRADES {
            queue.upgrades.push_back((upgrade, Arc::clone(attempt)));
            self.shared.wake.notify_one();
        }
    }

    pub fn done(&self) -> impl Iterator<Item = Done> {
        self.done.try_iter()
    }

    pub fn stop(self) {
        let mut queue = self.shared.lock();
        queue.stop = true;
        queue.checks.clear();
        queue.upgrades.clear();
        queue.urgent = 0;
        drop(queue);
        self.shared.wake.notify_all();
        for thread in self.threads {
            // It does not panic, and if it did we would be gone.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn next(&mut self) -> Option<Task> {
        if let Some(check) = self.checks.pop_front() {
            self.urgent = self.urgent.saturating_sub(1);
            return Some(Task::Check(check));
        }
        let (upgrade, attempt) = self.upgrades.pop_front()?;
        Some(Task::Upgrade(upgrade, attempt))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing once it is time to stop.
    fn next(&self, hasher: &mut Hasher) -> Option<Task> {
        let mut queue = self.lock();
        loop {
            if queue.stop {
                return None;
            }
            if let Some(task) = queue.next() {
                return Some(task);
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

fn work(shared: &Shared, done: &Sender<Done>, waker: &Waker) {
    // On Linux it is the thread's. Without it everything works, less evenly.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut hasher = Hasher::default();
    while let Some(task) = shared.next(&mut hasher) {
        let answer = match task {
            Task::Check(job) => {
                let begun = Instant::now();
                let outcome = job.run(&mut hasher);
                let mut queue = shared.lock();
                queue.each = (queue.each * 7 + begun.elapsed()) / 8;
                Done::Checked(job.digest, outcome)
            }
            Task::Upgrade(upgrade, attempt) => {
                match hasher.hash(&attempt.password, upgrade.cost, shared.random) {
                    Ok(hash) => Done::Upgraded(upgrade, hash),
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
    use crate::model::password::KeyId;

    #[test]
    fn who_waits_goes_before_upgrades_that_came_earlier() {
        let attempt = Arc::new(Attempt {
            username: String::new(),
            password: b"secret".to_vec().into(),
            address: None,
            secured: true,
        });
        let upgrade = Upgrade {
            username: "shop@example.com".parse().unwrap(),
            key: KeyId::stored("AAAAAAAA".into()),
            old: String::new(),
            cost: Cost::default(),
        };
        let mut queue = Queue {
            checks: VecDeque::new(),
            urgent: 1,
            upgrades: VecDeque::from([(upgrade, Arc::clone(&attempt))]),
            stop: false,
            each: Duration::ZERO,
        };
        queue.checks.push_back(Job {
            digest: [0; 32],
            attempt,
            hashes: Vec::new(),
            cost: Cost::default(),
            urgent: true,
        });
        assert!(matches!(queue.next(), Some(Task::Check(_))));
        assert_eq!(queue.urgent, 0);
        assert!(matches!(queue.next(), Some(Task::Upgrade(..))));
        assert!(queue.next().is_none());
    }
}
