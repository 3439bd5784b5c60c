use std::process::ExitCode;

fn main() -> ExitCode {
    smtpcred::cli::main()
}
