//! Integration tests: one binary, one module per subject.

mod apply;
mod architecture;
mod bundle;
mod ci;
mod cluster;
mod conformance;
mod context;
mod credentials;
mod docker;
mod docs;
mod engine;
mod evidence;
mod execution;
mod expiry;
mod hostile;
mod images;
mod issuer;
mod preflight;
mod projects;
mod proxy;
mod rehearsal;
mod rollout;
mod smoke;
mod store;
mod support;
mod words;
