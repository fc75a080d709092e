//! A Deployment's pods made anew.

use std::time::{Duration, SystemTime};

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{resolve, retry};
use crate::failure::Failure;
use crate::flyte::labels::{MANAGER, RESTARTED_AT};
use crate::manifest::ObjectRef;
use crate::run::Run;

/// Has the pods of a Deployment replaced, as `kubectl rollout restart` does; none where it does not exist. It asks for no
/// right that an apply does not need.
///
/// # Errors
/// As [`apply`](super::apply()).
pub(crate) async fn restart(client: &Client, deployment: &ObjectRef, run: &Run) -> Result<(), Failure> {
    let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    let body = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
    // Not the manager of the applies: what that one has not applied is no edit, and nothing that an apply takes away.
    let parameters = PatchParams { field_manager: Some(format!("{MANAGER}-restart")), ..PatchParams::default() };
    let patch = || async {
        let api = resolve(client, &deployment.collection()).await?.endpoint(client, deployment.namespace.as_deref());
        api.patch(&deployment.name, &parameters, &Patch::Merge(&body)).await
    };
    let patched = async {
        match retry(run, deployment, Duration::ZERO, patch).await {
            Err(error) if !error.is_missing() => Err(error.failure("cannot restart the pods", deployment)),
            _ => Ok(()),
        }
    };
    run.unless_cancelled(patched).await
}
