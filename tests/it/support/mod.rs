//! What the tests play against.

pub(crate) mod flyte;
