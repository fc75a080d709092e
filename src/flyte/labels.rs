//! Labels and annotations on objects, and on the pods of executions.

/// On every object that is applied, with the value [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`], and the field manager of server-side apply.
pub const MANAGER: &str = "sandbox";

/// The name of the sandbox that an object belongs to.
pub const SANDBOX_NAME: &str = "sandbox.flyte/name";

/// The workflow namespace that an object or a propeller's pod serves.
pub const WORKFLOW_NAMESPACE: &str = "sandbox.flyte/workflow-namespace";

/// On every pod that a propeller makes; its value is the execution's name.
pub const EXECUTION_ID: &str = "execution-id";

/// On a FlyteWorkflow whose execution has ended.
pub const TERMINATED: &str = "termination-status";

/// The annotation of a pod template whose change has the pods replaced, with the time of that.
pub const RESTARTED_AT: &str = "sandbox.flyte/restarted-at";
