//! Integration tests: one binary, one module per subject.

mod apply;
mod architecture;
mod cluster;
mod docker;
mod docs;
mod engine;
mod evidence;
mod execution;
mod images;
mod preflight;
mod rollout;
mod smoke;
mod support;
mod words;
