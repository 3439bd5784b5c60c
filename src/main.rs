//! Parses the command line, runs it, and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    smtpcred::cli::main()
}
