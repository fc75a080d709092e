//! Integration tests: one binary, one module per subject.

mod apply;
mod rollout;
mod smoke;
mod support;
