//! Integration tests: one binary, one module per subject.

mod apply;
mod architecture;
mod cluster;
mod docs;
mod engine;
mod execution;
mod images;
mod preflight;
mod rollout;
mod smoke;
mod support;
