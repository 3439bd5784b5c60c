//! The environment variables that tell which terminal and desktop the person uses. Behind sudo
//! and su, which remove most of them, they are read from the parent processes.

use std::collections::HashMap;
use std::fs;

#[derive(Clone, Debug, Default)]
/// The variables, where they are set.
pub struct Env {
    pub display: Option<String>,
    pub xauthority: Option<String>,
    pub wayland_display: Option<String>,
    pub xdg_runtime_dir: Option<String>,
    pub home: Option<String>,
    pub ssh_connection: Option<String>,
    pub tmux: Option<String>,
    pub sty: Option<String>,
    pub term: Option<String>,
}

const NAMES: [&str; 9] = [
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
    "HOME",
    "SSH_CONNECTION",
    "TMUX",
    "STY",
    "TERM",
];

/// sudo, its shell, a session manager: the person's shell is not further up.
const MOST_PARENTS: usize = 8;

impl Env {
    pub(super) fn variable(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "DISPLAY" => &mut self.display,
            "XAUTHORITY" => &mut self.xauthority,
            "WAYLAND_DISPLAY" => &mut self.wayland_display,
            "XDG_RUNTIME_DIR" => &mut self.xdg_runtime_dir,
            "HOME" => &mut self.home,
            "SSH_CONNECTION" => &mut self.ssh_connection,
            "TMUX" => &mut self.tmux,
            "STY" => &mut self.sty,
            "TERM" => &mut self.term,
            _ => return None,
        })
    }

    /// Fills in what is not set yet.
    fn fill(&mut self, from: impl Fn(&str) -> Option<String>) {
        for name in NAMES {
            if let Some(slot) = self.variable(name)
                && slot.is_none()
            {
                *slot = from(name).filter(|value| !value.is_empty());
            }
        }
    }

    /// Returns the variables that a client of the desktop needs.
    pub fn desktop(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("DISPLAY", &self.display),
            ("XAUTHORITY", &self.xauthority),
            ("WAYLAND_DISPLAY", &self.wayland_display),
            ("XDG_RUNTIME_DIR", &self.xdg_runtime_dir),
            ("HOME", &self.home),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// Returns only what terminal this is.
pub fn of_terminal() -> Env {
    Env {
        term: std::env::var("TERM").ok().filter(|term| !term.is_empty()),
        ..Env::default()
    }
}

/// Reads the variables of this process and of its parents.
pub fn read() -> Env {
    let mut env = Env::default();
    let own = |name: &str| std::env::var(name).ok();
    let became_another = ["SUDO_USER", "DOAS_USER"]
        .iter()
        .any(|name| own(name).is_some());
    env.fill(own);
    let lost = env.ssh_connection.is_none()
        && env.tmux.is_none()
        && env.sty.is_none()
        && env.wayland_display.is_none();
    if became_another || (lost && env.display.is_none()) {
        if became_another {
            // It is root's; the X cookie is in the person's.
            env.home = None;
        }
        for parent in parents() {
            let theirs = environ(parent);
            env.fill(|name| theirs.get(name).cloned());
        }
    }
    env
}

/// Returns the parent processes, nearest first.
fn parents() -> impl Iterator<Item = u32> {
    let first = Some(std::os::unix::process::parent_id());
    std::iter::successors(first, |pid| parent_of(*pid))
        .take_while(|pid| *pid > 1)
        .take(MOST_PARENTS)
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may contain anything, even brackets: see proc(5).
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the variables of a process, or none if they may not be read.
fn environ(pid: u32) -> HashMap<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes
        .split(|b| *b == 0)
        .filter_map(|entry| {
            let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
            NAMES
                .contains(&name)
                .then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}
