//! `sandbox config`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::credentials;
use crate::cli::args::Output;
use crate::cli::completion;
use crate::cli::session::{CommandError, Session};
use crate::failure::Failure;
use crate::site::{self, Host};
use crate::spec::{Keys, Spec};
use crate::text::shell_word;
use crate::yaml;

/// What every client calls Minio's only region.
const REGION: &str = "us-east-1";
/// The variable of a client's secret key.
const SECRET: &str = "FLYTE_AWS_SECRET_ACCESS_KEY";

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The project whose bucket and keys the client gets; the sandbox's first where absent
    #[arg(long, short, value_name = "ID", add = completion::projects())]
    project: Option<String>,
    /// Whose settings are wanted: one file serves all clients, and scripts that name one go on working
    #[arg(long, hide = true, value_parser = ["flytekit", "flytectl"])]
    client: Option<String>,
}

pub(in crate::cli) async fn run(session: &Session, args: &ConfigArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let host = session.host();
    let spec = session.query(async { site::running(&name, &host).await }).await?.inventory.spec;
    let client = Client::of(&spec, args.project.as_deref())?;
    let file = client.write(&host)?;
    let lines = client.lines(&file);
    match session.output() {
        Output::Json => {
            session.print_json(&json!({ "project": client.project, "file": file, "shell": lines })).await?;
        }
        Output::Human => session.print(&lines).await?,
    }
    Ok(())
}

/// A Flyte client that works for one project.
pub(super) struct Client<'a> {
    spec: &'a Spec,
    pub(super) project: String,
    pub(super) bucket: String,
    keys: Keys,
}

impl<'a> Client<'a> {
    /// The client of a project, or of the first one.
    ///
    /// # Errors
    /// [`Reason::Usage`](crate::failure::Reason::Usage): the sandbox has no such project.
    pub(super) fn of(spec: &'a Spec, project: Option<&str>) -> Result<Self, Failure> {
        let project = project.or(spec.projects.first().map(String::as_str)).unwrap_or_default();
        let (bucket, keys) = credentials::of(spec, Some(project))?;
        Ok(Self { spec, project: project.to_owned(), bucket, keys })
    }

    /// Writes the client file into the state folder, readable by its owner only; its path.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`](crate::failure::Reason::StateUnwritable).
    pub(super) fn write(&self, host: &Host) -> Result<PathBuf, Failure> {
        let state = host.state.sandbox(&self.spec.name);
        let file = state.path().join("clients").join(format!("{}.yaml", self.project));
        state.write(&file, &self.file())?;
        Ok(file)
    }

    /// The client file: a config.yaml of flytectl, which flytekit reads from 0.32 on.
    fn file(&self) -> String {
        let Self { spec, project, bucket, keys } = self;
        let config = json!({
            "admin": { "endpoint": format!("dns:///127.0.0.1:{}", spec.ports.console), "insecure": true },
            "storage": {
                "type": "minio",
                "container": bucket,
                "connection": {
                    "endpoint": format!("http://127.0.0.1:{}", spec.ports.minio),
                    "auth-type": "accesskey",
                    "access-key": keys.access_key,
                    "secret-key": keys.secret_key.expose(),
                    "region": REGION,
                    "disable-ssl": true,
                },
            },
        });
        format!(
            "# Sandbox {}, project {project}; made by `sandbox config`, with the project's secret key.\n{}",
            spec.name,
            yaml::emit(&config)
        )
    }

    /// Lines for a shell, to be taken in by `eval`. The secret is fetched when a shell takes them in, and stands nowhere.
    fn lines(&self, file: &Path) -> String {
        let Self { spec: Spec { name, .. }, project, .. } = self;
        let secret = format!("sandbox credentials --name {name} --project {project}");
        let secret = format!("\"$({secret} | sed -n 's/^minio secret key *//p')\"");
        let mut variables = self.variables(file).map(|(variable, value)| (variable, shell_word(&value))).to_vec();
        variables.push((SECRET, secret));
        let lines = variables.iter().map(|(variable, value)| format!("export {variable}={value}\n"));
        format!("# eval \"$(sandbox config --name {name} --project {project})\"\n{}", lines.collect::<String>())
    }

    /// The variables of a client: where its file is, and for flytekit before 0.32 the same as variables.
    fn variables(&self, file: &Path) -> [(&'static str, String); 5] {
        let Spec { ports, .. } = self.spec;
        [
            ("FLYTECTL_CONFIG", file.to_string_lossy().into_owned()),
            ("FLYTE_PLATFORM_URL", self.admin()),
            ("FLYTE_PLATFORM_INSECURE", "true".to_owned()),
            ("FLYTE_AWS_ENDPOINT", format!("http://127.0.0.1:{}", ports.minio)),
            ("FLYTE_AWS_ACCESS_KEY_ID", self.keys.access_key.clone()),
        ]
    }

    /// The environment of a client that this program starts, over what it was started with itself.
    pub(super) fn environment(&self, file: &Path, host: &Host) -> BTreeMap<String, String> {
        let mut environment = host.variables.clone();
        environment.extend(self.variables(file).map(|(variable, value)| (variable.to_owned(), value)));
        environment.insert(SECRET.to_owned(), self.keys.secret_key.expose().to_owned());
        environment
    }

    /// Host and port of admin's gRPC.
    pub(super) fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.spec.ports.console)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Client;
    use crate::spec::{Keys, Secret, Spec};
    use crate::yaml;

    fn spec() -> Spec {
        let mut spec = Spec { name: "demo".to_owned(), ..Spec::default() };
        (spec.ports.console, spec.ports.minio) = (31081, 31084);
        spec
    }

    #[test]
    fn a_client_is_led_to_the_ports_and_to_its_projects_bucket_and_the_shell_gets_no_secret() {
        let spec = spec();
        let keys = Keys { access_key: "its-key".to_owned(), secret_key: Secret::new("its-secret"), expires_at: None };
        let client = Client { spec: &spec, project: "y".to_owned(), bucket: "its-bucket".to_owned(), keys };
        let lines = client.lines(Path::new("/state of mine/demo/clients/y.yaml"));
        assert!(!lines.contains("its-secret"));
        insta::assert_snapshot!("config", format!("{lines}\n{}", client.file()));
    }

    #[test]
    fn any_keys_arrive_as_they_are() {
        let spec = spec();
        for key in ["a$bcd", "yes", "1e3", "a: b", "#c", "'\"\\"] {
            let keys = Keys { access_key: key.to_owned(), secret_key: Secret::new(key), expires_at: None };
            let client = Client { spec: &spec, project: "x".to_owned(), bucket: key.to_owned(), keys };
            let config = yaml::document(&client.file()).expect("YAML");
            for read in ["/storage/connection/access-key", "/storage/connection/secret-key", "/storage/container"] {
                assert_eq!(config.pointer(read).and_then(|value| value.as_str()), Some(key), "{read}");
            }
        }
    }
}
