//! Which clipboard reaches the person: a pure function of the environment.

use super::environment::Env;

/// The clipboard that the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ClipboardChoice {
    /// The desktop, or your terminal over SSH
    #[default]
    Auto,
    Never,
    /// The clipboard of this machine's desktop (X11 or Wayland)
    Desktop,
    /// The clipboard of your terminal (OSC 52), also through tmux and screen
    Terminal,
}

/// The clipboard to use, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyPlan {
    Desktop,
    Terminal(Terminal),
    Nothing(&'static str),
}

/// How text is sent to a terminal's clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The escape sequence itself.
    Osc52,
    /// Through tmux, which by default drops the escape sequence.
    Tmux,
    /// Through GNU screen, which passes a wrapped sequence on.
    Screen,
}

/// Returns the clipboard to use.
pub fn choose(env: &Env, copy: ClipboardChoice) -> CopyPlan {
    let desktop = env.wayland_display.is_some() || env.display.is_some();
    match copy {
        ClipboardChoice::Never => CopyPlan::Nothing("--copy never"),
        ClipboardChoice::Desktop if desktop => CopyPlan::Desktop,
        ClipboardChoice::Desktop => {
            CopyPlan::Nothing("there is no desktop (neither WAYLAND_DISPLAY nor DISPLAY is set)")
        }
        // Over SSH, the person does not sit at this machine's desktop. SSH_TTY would survive the
        // connection in a re-attached tmux.
        ClipboardChoice::Auto if desktop && env.ssh_connection.is_none() => CopyPlan::Desktop,
        ClipboardChoice::Auto | ClipboardChoice::Terminal => terminal(env),
    }
}

fn terminal(env: &Env) -> CopyPlan {
    if env.tmux.is_some() {
        return CopyPlan::Terminal(Terminal::Tmux);
    }
    if env.sty.is_some() {
        return CopyPlan::Terminal(Terminal::Screen);
    }
    match env.term.as_deref() {
        None | Some("dumb" | "linux") => CopyPlan::Nothing("this terminal has no clipboard"),
        Some(_) => CopyPlan::Terminal(Terminal::Osc52),
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

    type Case<'a> = (&'a [(&'a str, &'a str)], ClipboardChoice, CopyPlan);

    #[test]
    fn the_clipboard_that_reaches_the_person() {
        use CopyPlan::{Desktop, Nothing, Terminal as Term};
        let no_desktop =
            Nothing("there is no desktop (neither WAYLAND_DISPLAY nor DISPLAY is set)");
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
            (&[x, xterm], ClipboardChoice::Auto, Desktop),
            (&[wl, xterm], ClipboardChoice::Auto, Desktop),
            (&[x, xterm, tmux], ClipboardChoice::Auto, Desktop),
            (
                &[x, xterm, ssh],
                ClipboardChoice::Auto,
                Term(Terminal::Osc52),
            ),
            (&[xterm, ssh], ClipboardChoice::Auto, Term(Terminal::Osc52)),
            (
                &[xterm, ssh, tmux],
                ClipboardChoice::Auto,
                Term(Terminal::Tmux),
            ),
            (
                &[xterm, ssh, sty],
                ClipboardChoice::Auto,
                Term(Terminal::Screen),
            ),
            (
                &[xterm, ssh, sty, tmux],
                ClipboardChoice::Auto,
                Term(Terminal::Tmux),
            ),
            (&[xterm], ClipboardChoice::Auto, Term(Terminal::Osc52)),
            (&[linux], ClipboardChoice::Auto, no_clipboard),
            (&[dumb, ssh], ClipboardChoice::Auto, no_clipboard),
            (&[], ClipboardChoice::Auto, no_clipboard),
            (&[x, xterm, ssh], ClipboardChoice::Desktop, Desktop),
            (&[xterm, ssh], ClipboardChoice::Desktop, no_desktop),
            (
                &[x, xterm],
                ClipboardChoice::Terminal,
                Term(Terminal::Osc52),
            ),
            (
                &[linux, tmux],
                ClipboardChoice::Terminal,
                Term(Terminal::Tmux),
            ),
            (&[x, xterm], ClipboardChoice::Never, Nothing("--copy never")),
        ];
        for (set, copy, plan) in cases {
            assert_eq!(choose(&env(set), *copy), *plan, "{set:?} {copy:?}");
        }
    }
}
