//! `sandbox kubectl`

use clap::Args;
use serde_json::Value;

use crate::cli::session::{CommandError, Session};
use crate::failure::{Failure, Reason};
use crate::process;
use crate::site;
use crate::yaml;

#[derive(Debug, Args)]
pub(crate) struct KubectlArgs {
    /// Arguments of kubectl; options of this program come before them
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(in crate::cli) async fn run(session: &Session, args: &KubectlArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let host = session.host();
    let running = session.query(async { site::running(&name, &host).await }).await?;
    let Some(kubectl) = process::find("kubectl", &host.variables) else {
        return Err(Failure::new(Reason::Usage, "kubectl is not on the PATH")
            .hint("install it, or give another client what `sandbox kubeconfig` prints")
            .into());
    };
    let state = host.state.sandbox(&name);
    let file = state.path().join("kubectl.yaml");
    state.write(&file, &within(&running.kubeconfig, &running.inventory.spec.system_namespace()))?;
    let env = [("KUBECONFIG", file.as_os_str())];
    let code = session.until_stopped(async { process::foreground(&kubectl, &args.args, &env).await }).await?;
    if code == 0 { Ok(()) } else { Err(CommandError::Reported(code)) }
}

/// The kubeconfig, whose contexts are in this namespace unless they name one.
fn within(kubeconfig: &str, namespace: &str) -> String {
    let Ok(mut config) = yaml::document(kubeconfig) else { return kubeconfig.to_owned() };
    let contexts = config["contexts"].as_array_mut().into_iter().flatten();
    for context in contexts.map(|named| &mut named["context"]).filter(|context| context["namespace"].is_null()) {
        context["namespace"] = Value::from(namespace);
    }
    config.to_string()
}

#[cfg(test)]
mod tests {
    use super::within;
    use crate::yaml;

    #[test]
    fn a_context_is_in_the_namespace_of_flyte_unless_it_names_one() {
        let config = "contexts: [{name: a, context: {cluster: c}}, {name: b, context: {namespace: own}}]";
        let config = yaml::document(&within(config, "103020-flytepoc-dev")).expect("YAML");
        assert_eq!(config["contexts"][0]["context"]["namespace"], "103020-flytepoc-dev");
        assert_eq!(config["contexts"][0]["context"]["cluster"], "c");
        assert_eq!(config["contexts"][1]["context"]["namespace"], "own");
    }
}
