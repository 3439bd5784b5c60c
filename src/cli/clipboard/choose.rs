//! Which clipboard reaches the person: a pure function of the environment.

use super::Copy;
use super::environment::Env;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Desktop,
    Terminal(Terminal),
    Nothing(&'static str),
}

/// How a terminal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The escape sequence itself.
    Osc52,
    /// Through tmux, which drops the escape sequence unless configured.
    Tmux,
    /// Through GNU screen, which passes on what is wrapped.
    Screen,
}

pub fn choose(env: &Env, copy: Copy) -> Plan {
    let desktop = env.wayland_display.is_some() || env.display.is_some();
    match copy {
        Copy::Never => Plan::Nothing("--copy never"),
        Copy::Desktop if desktop => Plan::Desktop,
        Copy::Desktop => {
            Plan::Nothing("no desktop here (neither WAYLAND_DISPLAY nor DISPLAY is set)")
        }
        // Over SSH the desktop of this machine is not the one in front of the
        // person. SSH_TTY would outlive the connection in a re-attached tmux.
        Copy::Auto if desktop && env.ssh_connection.is_none() => Plan::Desktop,
        Copy::Auto | Copy::Terminal => terminal(env),
    }
}

fn terminal(env: &Env) -> Plan {
    if env.tmux.is_some() {
        return Plan::Terminal(Terminal::Tmux);
    }
    if env.sty.is_some() {
        return Plan::Terminal(Terminal::Screen);
    }
    match env.term.as_deref() {
        None | Some("dumb" | "linux") => Plan::Nothing("this terminal has no clipboard"),
        Some(_) => Plan::Terminal(Terminal::Osc52),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(set: &[(&str, &str)]) -> Env {
        let mut env = Env::default();
        for (name, value) in set {
            *env.variable(name).unwrap() = Some((*value).to_owned());
        }
        env
    }

    type Case<'a> = (&'a [(&'a str, &'a str)], Copy, Plan);

    #[test]
    fn the_clipboard_that_reaches_the_person() {
        use Plan::{Desktop, Nothing, Terminal as Term};
        let no_desktop = Nothing("no desktop here (neither WAYLAND_DISPLAY nor DISPLAY is set)");
        let no_clipboard = Nothing("this terminal has no clipboard");
        let (x, wl, ssh) = (
            ("DISPLAY", ":0"),
            ("WAYLAND_DISPLAY", "wayland-1"),
            ("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22"),
        );
        let (xterm, linux, dumb) = (
            ("TERM", "xterm-256color"),
            ("TERM", "linux"),
            ("TERM", "dumb"),
        );
        let (tmux, sty) = (
            ("TMUX", "/tmp/tmux-0/default,1,0"),
            ("STY", "1.pts-0.relay"),
        );
        let cases: &[Case] = &[
            (&[x, xterm], Copy::Auto, Desktop),
            (&[wl, xterm], Copy::Auto, Desktop),
            (&[x, xterm, tmux], Copy::Auto, Desktop),
            (&[x, xterm, ssh], Copy::Auto, Term(Terminal::Osc52)),
            (&[xterm, ssh], Copy::Auto, Term(Terminal::Osc52)),
            (&[xterm, ssh, tmux], Copy::Auto, Term(Terminal::Tmux)),
            (&[xterm, ssh, sty], Copy::Auto, Term(Terminal::Screen)),
            (&[xterm, ssh, sty, tmux], Copy::Auto, Term(Terminal::Tmux)),
            (&[xterm], Copy::Auto, Term(Terminal::Osc52)),
            (&[linux], Copy::Auto, no_clipboard),
            (&[dumb, ssh], Copy::Auto, no_clipboard),
            (&[], Copy::Auto, no_clipboard),
            (&[x, xterm, ssh], Copy::Desktop, Desktop),
            (&[xterm, ssh], Copy::Desktop, no_desktop),
            (&[x, xterm], Copy::Terminal, Term(Terminal::Osc52)),
            (&[linux, tmux], Copy::Terminal, Term(Terminal::Tmux)),
            (&[x, xterm], Copy::Never, Nothing("--copy never")),
        ];
        for (set, copy, plan) in cases {
            assert_eq!(choose(&env(set), *copy), *plan, "{set:?} {copy:?}");
        }
    }
}
