//! The custom resource FlyteWorkflow: one object for each execution, held by a finalizer of its propeller.

/// Its API group.
pub const GROUP: &str = "flyte.lyft.com";

/// Its API group and version.
pub const API_VERSION: &str = "flyte.lyft.com/v1alpha1";

/// Its kind.
pub const KIND: &str = "FlyteWorkflow";

/// Its plural, as in paths and Roles.
pub const PLURAL: &str = "flyteworkflows";

/// The CustomResourceDefinition that brings it.
pub const DEFINITION: &str = "flyteworkflows.flyte.lyft.com";
