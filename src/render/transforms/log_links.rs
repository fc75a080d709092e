//! `log-links`: links from tasks to their logs. Map tasks have a configuration of their own for them.

use super::super::component::Component;
use super::super::context::{Context, Draft};
use super::super::error::RenderError;

const HOME: &str = "task_logs.yaml";

pub(super) fn run(context: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let template = format!(
        "http://127.0.0.1:{}/#/log/{{{{ .namespace }}}}/{{{{ .podName }}}}/pod?namespace={{{{ .namespace }}}}",
        context.spec.ports.dashboard
    );
    draft.edit_config(Component::Flytepropeller, |config| {
        for plugin in [&["plugins", "logs"][..], &["plugins", "k8s-array", "logs", "config"]] {
            let path = |key| [plugin, &[key]].concat();
            config.set(HOME, &path("cloudwatch-enabled"), false);
            config.set(HOME, &path("kubernetes-enabled"), true);
            config.set(HOME, &path("kubernetes-template-uri"), template.as_str());
        }
    })
}
