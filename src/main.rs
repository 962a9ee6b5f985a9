//! The door: hands the command line to the library and its ending to the operating system.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(muster::cli::main(std::env::args_os()))
}
