//! The integration tests: one binary, one module for each area.

mod cluster;
mod images;
mod preflight;
mod support;
