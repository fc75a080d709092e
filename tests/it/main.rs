//! Integration tests: one binary, one module per subject.

mod apply;
mod architecture;
mod bundle;
mod cluster;
mod docs;
mod execution;
mod images;
mod preflight;
mod rollout;
mod smoke;
mod support;
