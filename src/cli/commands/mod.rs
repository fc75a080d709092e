//! One file per command: its arguments, and what it does with them.

pub(super) mod backup;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod credentials;
pub(super) mod diagnose;
pub(super) mod doctor;
pub(super) mod down;
pub(super) mod exec;
pub(super) mod gc;
pub(super) mod images;
pub(super) mod kubeconfig;
pub(super) mod kubectl;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod man;
pub(super) mod open;
pub(super) mod plan;
pub(super) mod project;
pub(super) mod rehearse;
pub(super) mod render;
pub(super) mod schema;
pub(super) mod smoke;
pub(super) mod start;
pub(super) mod status;
pub(super) mod stop;
pub(super) mod up;
