//! `sandbox credentials`

use serde_json::json;

use crate::cli::args::{Credentials, Output};
use crate::cli::session::{Ended, Session};
use crate::failure::{Failure, Reason};
use crate::lifecycle::Running;
use crate::spec::{Keys, Spec};

/// The only place that shows a secret: who asks for it by this command wants to see it.
pub(in crate::cli) fn run(session: &Session, args: &Credentials) -> Result<(), Ended> {
    let name = session.name()?;
    let spec = session.block_on(async { Running::find(&name, &session.host()).await })?.inventory.spec;
    let (bucket, keys) = of(&spec, args.project.as_deref())?;
    let (access, secret) = (keys.access_key.as_str(), keys.secret_key.expose());
    match session.output() {
        Output::Json => {
            session.print_json(&json!({"minio": {"accessKey": access, "secretKey": secret, "bucket": bucket}}))?;
        }
        Output::Human => {
            session.print(&format!(
                "minio access key  {access}\nminio secret key  {secret}\nminio bucket      {bucket}"
            ))?;
        }
    }
    Ok(())
}

/// The bucket and its keys: a project's, or admin's with those of the store itself.
fn of(spec: &Spec, project: Option<&str>) -> Result<(String, Keys), Failure> {
    let storage = &spec.storage;
    let Some(project) = project else {
        let keys =
            Keys { access_key: storage.access_key.clone(), secret_key: storage.secret_key.clone(), expires_at: None };
        return Ok((storage.bucket.clone(), keys));
    };
    if !spec.projects.iter().any(|known| known == project) {
        let known = spec.projects.join(", ");
        return Err(Failure::new(Reason::Usage, "there is no such project in the sandbox")
            .on(format!("project {project}"))
            .hint(format!("there are: {known}; `sandbox project add {project}` makes another")));
    }
    Ok((storage.bucket_of(project), storage.keys_of(project)))
}
