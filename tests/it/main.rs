//! Integration tests: one binary, one module per subject.

mod apply;
mod cluster;
mod images;
mod preflight;
mod rollout;
mod smoke;
mod support;
