//! Integration tests: one binary, one module per subject.

mod apply;
mod architecture;
mod cluster;
mod credentials;
mod docs;
mod execution;
mod images;
mod preflight;
mod projects;
mod rollout;
mod smoke;
mod support;
