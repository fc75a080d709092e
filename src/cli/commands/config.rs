//! `sandbox config`

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::args::Output;
use crate::cli::session::{CommandError, Session};
use crate::site;
use crate::spec::Spec;
use crate::text::shell_word;
use crate::yaml;

/// What both clients call Minio's only region.
const REGION: &str = "us-east-1";

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Whose
    #[arg(long, value_enum)]
    client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Lines for a shell, to be taken in by `eval`; flyte-cli and pyflyte read the same variables
    Flytekit,
    /// A config.yaml, for `flytectl --config`
    Flytectl,
}

pub(in crate::cli) async fn run(session: &Session, args: &ConfigArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let spec = session.query(async { site::running(&name, &session.host()).await }).await?.inventory.spec;
    let text = match args.client {
        Client::Flytekit => flytekit(&spec),
        Client::Flytectl => flytectl(&spec),
    };
    match session.output() {
        Output::Json => session.print_json(&json!({ "config": text })).await?,
        Output::Human => session.print(&text).await?,
    }
    Ok(())
}

/// Variables that flytekit reads in every version; the secret is fetched when a shell takes them in, and stands nowhere.
fn flytekit(spec: &Spec) -> String {
    let Spec { name, ports, storage, .. } = spec;
    let secret = format!("$(sandbox credentials --name {name} | sed -n 's/^minio secret key *//p')");
    let variables = [
        ("FLYTE_PLATFORM_URL", format!("127.0.0.1:{}", ports.console)),
        ("FLYTE_PLATFORM_INSECURE", "true".to_owned()),
        ("FLYTE_AWS_ENDPOINT", format!("http://127.0.0.1:{}", ports.minio)),
        ("FLYTE_AWS_ACCESS_KEY_ID", shell_word(&storage.access_key)),
        ("FLYTE_AWS_SECRET_ACCESS_KEY", format!("\"{secret}\"")),
    ];
    let lines = variables.iter().map(|(variable, value)| format!("export {variable}={value}\n"));
    format!("# eval \"$(sandbox config --client flytekit --name {name})\"\n{}", lines.collect::<String>())
}

/// Registration needs the first part alone; the second is for code that is uploaded, as fast registration does.
fn flytectl(spec: &Spec) -> String {
    let Spec { name, ports, storage, .. } = spec;
    let config = json!({
        "admin": { "endpoint": format!("dns:///127.0.0.1:{}", ports.console), "insecure": true },
        "storage": {
            "type": "minio",
            "container": storage.bucket,
            "connection": {
                "endpoint": format!("http://127.0.0.1:{}", ports.minio),
                "auth-type": "accesskey",
                "access-key": storage.access_key,
                "secret-key": "",
                "region": REGION,
                "disable-ssl": true,
            },
        },
    });
    format!(
        "\
# sandbox config --client flytectl --name {name} > flytectl.yaml
# Fast registration needs the secret key too: `sandbox credentials --name {name}` prints it.
{}",
        yaml::emit(&config)
    )
}

#[cfg(test)]
mod tests {
    use super::{flytectl, flytekit};
    use crate::spec::Spec;
    use crate::yaml;

    #[test]
    fn both_clients_are_led_to_the_ports_and_neither_text_has_the_secret() {
        let mut spec = Spec { name: "demo".to_owned(), ..Spec::default() };
        (spec.ports.console, spec.ports.minio) = (31081, 31084);
        let both = format!("{}\n{}", flytekit(&spec), flytectl(&spec));
        assert!(!both.contains(spec.storage.secret_key.expose()));
        insta::assert_snapshot!("config", both);
    }

    #[test]
    fn any_access_key_arrives_in_flytectl_as_it_is() {
        for key in ["a$bcd", "yes", "1e3", "a: b", "#c", "'\"\\"] {
            let mut spec = Spec::default();
            (spec.storage.access_key, spec.storage.bucket) = (key.to_owned(), key.to_owned());
            let config = yaml::document(&flytectl(&spec)).expect("YAML");
            assert_eq!(config["storage"]["connection"]["access-key"], key);
            assert_eq!(config["storage"]["container"], key);
        }
    }
}
