//! `sandbox credentials`

use serde_json::json;

use crate::cli::args::{Credentials, CredentialsChange, CredentialsRenew, Output, SpecFlags};
use crate::cli::session::{Ended, Session, Telling};
use crate::failure::{Failure, Reason};
use crate::issuer::ends;
use crate::lifecycle;
use crate::site;
use crate::spec::{Keys, Spec};

/// The only place that shows a secret: who asks for it by this command wants to see it.
pub(in crate::cli) fn run(session: &Session, args: &Credentials) -> Result<(), Ended> {
    let name = session.name()?;
    if let Some(CredentialsChange::Renew(args)) = &args.change {
        return renew(session, &name, args);
    }
    let spec = session.block_on(async { site::running(&name, &session.host()).await })?.inventory.spec;
    let (bucket, keys) = of(&spec, args.project.as_deref())?;
    let (access, secret, ends) = (keys.access_key.as_str(), keys.secret_key.expose(), ends(&keys));
    let printed = match session.output() {
        Output::Json => session.print_json(
            &json!({"minio": {"accessKey": access, "secretKey": secret, "bucket": bucket, "ends": ends}}),
        ),
        Output::Human => session.print(&format!(
            "minio access key  {access}\nminio secret key  {secret}\nminio bucket      {bucket}\nminio keys end    {ends}"
        )),
    };
    Ok(printed?)
}

fn renew(session: &Session, name: &str, args: &CredentialsRenew) -> Result<(), Ended> {
    let bundle = session.bundle(&SpecFlags { manifests: args.manifests.clone(), ..SpecFlags::default() })?;
    let telling =
        Telling { command: "credentials renew", sandbox: name, timeout: args.timeout, junit: None, in_full: false };
    session.narrate(telling, async |run| lifecycle::renew_keys(name, args.within, bundle, &session.host(), run).await)
}

/// The bucket and its keys: a project's, or admin's with those of the store itself.
fn of(spec: &Spec, project: Option<&str>) -> Result<(String, Keys), Failure> {
    let storage = &spec.storage;
    let Some(project) = project else {
        return Ok((storage.bucket.clone(), storage.root()));
    };
    if !spec.projects.iter().any(|known| known == project) {
        let known = spec.projects.join(", ");
        return Err(Failure::new(Reason::Usage, "there is no such project in the sandbox")
            .on(format!("project {project}"))
            .hint(format!("there are: {known}; `sandbox project add {project}` makes another")));
    }
    Ok((storage.bucket_of(project), storage.keys_of(project)))
}
