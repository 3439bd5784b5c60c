//! Commands that are described to clap once they are typed: to describe all of them
//! takes longer than most of them run.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

/// Help, completion and what is said of mistakes need all of them.
static WHOLE: AtomicBool = AtomicBool::new(true);

/// Until told otherwise, commands are described in whole.
pub fn describe_in_whole(whole: bool) {
    WHOLE.store(whole, Ordering::Relaxed);
}

fn described(command: Command, describe: fn(Command) -> Command) -> Command {
    if WHOLE.load(Ordering::Relaxed) {
        describe(command)
    } else {
        command.defer(describe)
    }
}

#[derive(Debug)]
pub struct Lazy<T>(pub T);

impl<T: FromArgMatches> FromArgMatches for Lazy<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Lazy<T> {
    fn augment_args(command: Command) -> Command {
        described(command, T::augment_args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        described(command, T::augment_args_for_update)
    }
}

impl<T: Subcommand> Subcommand for Lazy<T> {
    fn augment_subcommands(command: Command) -> Command {
        described(command, T::augment_subcommands)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        described(command, T::augment_subcommands_for_update)
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}
