//! flytekit, which registers code: what its programs are called with, and what they write. Who
//! calls them stands in `cli/commands/run.rs`.
//!
//! | file | what |
//! |---|---|
//! | `module.rs` | a Python file as the module that flytekit imports |
//! | `code.rs` | the code that goes into a task's pod |
//! | `registration.rs` | the command lines of pyflyte and flyte-cli, and the files between them |
//! | `register.py` | the script that runs both in one interpreter |
//! | `inputs.rs` | values of inputs, by the types that a launch plan expects |

pub mod code;
pub mod inputs;
mod module;
mod registration;

pub use module::Module;
pub use registration::{Refusal, Registration, SCRIPT, Unclear, choose};
