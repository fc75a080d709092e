//! The integration tests: one binary, one module for each area.

mod apply;
mod rollout;
mod support;
