//! The `sandbox` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    flyte_sandbox::cli::main()
}
