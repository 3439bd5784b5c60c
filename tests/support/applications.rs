//! Applications that sign in all the time, each with the password that was last
//! delivered to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::support::Sandbox;
use crate::support::mail::postfix::Postfix;

/// From the beginning of one sign-in to that of the next.
const PACE: Duration = Duration::from_millis(100);

/// How a new password comes to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Command,
    File,
}

pub struct Application {
    pub username: String,
    pub way: Way,
    /// With the password last delivered in it.
    pub file: PathBuf,
}

/// Takes the password from its standard input to the file named. Where it may be
/// killed it can be told to linger, and how to end.
const DELIVER: &str = "\
set -e
sleep \"${BEFORE:-0}\"
cat > \"$1.new\"
sleep \"${BETWEEN:-0}\"
mv \"$1.new\" \"$1\"
sleep \"${AFTER:-0}\"
exit \"${CODE:-0}\"
";

impl Application {
    /// A user that has its first password, and that is told where new ones go.
    pub fn new(sandbox: &Sandbox, name: &str, way: Way) -> Self {
        let folder = sandbox.folder.path();
        let username = format!("{name}@example.com");
        let file = folder.join(format!("{name}.password"));
        fs::write(&file, sandbox.create(&username) + "\n").expect("our folder");
        let script = folder.join("deliver");
        fs::write(&script, DELIVER).expect("our folder");
        let [script, path] = [&script, &file].map(|path| path.display().to_string());
        let command = format!("sh {script} {path}");
        let delivery = match way {
            Way::Command => ["--deliver", &command, "--deliver-timeout", "2s"].to_vec(),
            Way::File => vec!["--write-file", &path],
        };
        sandbox.noted(&[&["user", "set", &username], &delivery[..]].concat());
        Self {
            username,
            way,
            file,
        }
    }

    pub fn password(&self) -> String {
        let text = fs::read_to_string(&self.file).expect("a password");
        text.strip_suffix('\n').expect("all of it").to_owned()
    }
}

/// Longer than a sign-in takes: whoever began one with the old password ends it.
pub const OVERLAP: Duration = Duration::from_secs(3);
/// A wrong password is answered after this.
const DELAY: Duration = Duration::from_secs(1);

/// What the applications were told.
#[derive(Default)]
pub struct Heard {
    /// 0 where it was hung up on.
    pub answers: BTreeMap<u16, u32>,
    /// What should not have been.
    pub refused: Vec<String>,
    /// Of those that were answered with 235.
    pub slowest: Duration,
}

pub struct Watch {
    heard: Mutex<Heard>,
    done: AtomicBool,
}

impl Watch {
    pub fn new() -> Self {
        Self {
            heard: Mutex::default(),
            done: AtomicBool::new(false),
        }
    }

    pub fn is_over(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// They end, also where a test fails.
    pub fn end(&self) -> End<'_> {
        End(&self.done)
    }

    pub fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().expect("nobody has failed")
    }

    pub fn count(&self, code: u16) -> u32 {
        self.heard().answers.get(&code).copied().unwrap_or(0)
    }

    /// Ten times a second, until the end.
    pub fn sign_in_always(&self, application: &Application, postfix: &Postfix) {
        while !self.is_over() {
            let next = Instant::now() + PACE;
            if let Err(error) = self.sign_in(application, postfix) {
                // Shown where the test fails.
                eprintln!("{}: {error}", application.username);
                *self.heard().answers.entry(0).or_default() += 1;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn sign_in(&self, application: &Application, postfix: &Postfix) -> std::io::Result<()> {
        let name = &application.username;
        let mut smtp = postfix.try_client()?;
        let password = application.password();
        let began = Instant::now();
        let reply = smtp.try_auth_plain(name, &password, true)?;
        let took = began.elapsed();
        let mut heard = self.heard();
        *heard.answers.entry(reply.code).or_default() += 1;
        if reply.code == 235 {
            heard.slowest = heard.slowest.max(took);
        }
        let same = password == application.password();
        // On a machine that stands still for longer than the overlap the old password
        // may have retired by right.
        let too_late = !same && took >= OVERLAP + DELAY;
        if ![235, 454].contains(&reply.code) && !too_late {
            heard.refused.push(format!(
                "{name}: {reply:?} after {took:?}, the password is {}",
                if same {
                    "the one delivered"
                } else {
                    "replaced meanwhile"
                }
            ));
            self.done.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

pub struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The process groups of commands that are delivering something to this file.
pub fn deliveries(file: &Path) -> Vec<nix::unistd::Pid> {
    let name = file.as_os_str().as_encoded_bytes();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let delivers = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(b"sh") && words.any(|word| word == name)
    };
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(delivers)
        .map(nix::unistd::Pid::from_raw)
        .collect()
}

/// The keys that work, as `user show` has them.
pub fn live_passwords(sandbox: &Sandbox, username: &str) -> Vec<serde_json::Value> {
    let user = sandbox.json(&["user", "show", username]);
    user["passwords"].as_array().unwrap().clone()
}

/// One number from the store.
pub fn number(sandbox: &Sandbox, query: &str) -> i64 {
    let store = Connection::open(sandbox.store()).unwrap();
    store.query_row(query, [], |row| row.get(0)).unwrap()
}

pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}
