//! The login that the registry of an image gets.

use std::collections::BTreeMap;

use crate::docker::{CredentialHelper, Docker, Login, LoginSource};
use crate::limits::CREDENTIAL_HELPER;
use crate::manifest::ImageRef;
use crate::process;
use crate::report::Stage;
use crate::run::{Deadline, Run};

/// The logins for pulls of these images: each registry is looked up once, and what is wrong is told once. As with
/// `docker`, an image whose registry has no login is pulled without one.
pub(super) async fn logins(docker: &Docker, images: &[ImageRef], run: &Run) -> BTreeMap<ImageRef, Login> {
    let mut asked: Vec<(CredentialHelper, Option<Login>)> = Vec::new();
    let (mut found, mut told) = (BTreeMap::new(), None);
    for image in images {
        let login = match docker.login_source(image) {
            Ok(LoginSource::Absent) => None,
            Ok(LoginSource::File(login)) => Some(login),
            Ok(LoginSource::Helper(helper)) => match asked.iter().find(|(known, _)| *known == helper) {
                Some((_, login)) => login.clone(),
                None => {
                    let login = ask(&helper, run).await;
                    asked.push((helper, login.clone()));
                    login
                }
            },
            Err(why) => {
                if told.as_ref() != Some(&why) {
                    run.report.warn(format!("no registry gets a login: Docker's configuration cannot be used: {why}"));
                    told = Some(why);
                }
                None
            }
        };
        found.extend(login.map(|login| (image.clone(), login)));
    }
    found
}

async fn ask(helper: &CredentialHelper, run: &Run) -> Option<Login> {
    let CredentialHelper { program, registry, env } = helper;
    run.report.progress(Stage::Images, format!("ask {program} for the login to {registry}"));
    let deadline: Deadline = run.deadline.min(CREDENTIAL_HELPER);
    let answered = deadline.limit(process::ask(program, "get", env, registry)).await;
    let login = match answered {
        Some(Ok(answer)) => helper.login(answer.is_success, &answer.stdout),
        Some(Err(error)) => Err(format!("it cannot be run: {error}")),
        None => Err(deadline.expired_message()),
    };
    login.unwrap_or_else(|why| {
        run.report.warn(format!("{registry} gets no login: the credential helper {program}: {why}"));
        None
    })
}
