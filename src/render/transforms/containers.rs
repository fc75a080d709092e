//! `containers`: a component's own container by the component's name, which later transforms, `sandbox logs` and checks go
//! by, and the ports that programs listen on where checks ask them.

use serde_json::{Value, json};

use super::super::component::{Component, component_of};
use super::super::context::{Context, Draft, Effect};
use super::super::error::RenderError;
use super::edit::put;
use super::listeners::{ADMIN_GRPC, ADMIN_HTTP, DATACATALOG_GRPC, DATACATALOG_HTTP, PROFILER};
use crate::manifest::{ImageRef, Object};

pub(super) fn run(_: &Context<'_>, draft: &mut Draft) -> Result<(), RenderError> {
    let mut unknown = Vec::new();
    for object in draft.objects.iter_mut().filter(|object| is_lasting(object)) {
        let Some(component) = component_of(object) else { continue };
        match own(object, component) {
            Some(index) => rename(object, index, component),
            None => unknown.push((object.clone(), component)),
        }
    }
    for (object, component) in unknown {
        draft.warn(
            Effect::Fails,
            &object,
            format!("has no container that runs {component}: it gets no readiness probe"),
        );
    }
    for component in
        [Component::Flyteadmin, Component::Datacatalog, Component::Flytepropeller, Component::Flytescheduler]
    {
        for workload in draft.workloads_mut(component) {
            for list in ["initContainers", "containers"] {
                workload.containers_mut(list).for_each(settings_words);
            }
        }
    }
    draft.edit_config(Component::Datacatalog, |config| {
        // Without one it serves its health on whatever port is free.
        config.set_missing("server.yaml", &["application", "httpPort"], DATACATALOG_HTTP);
        config.set_missing("server.yaml", &["application", "grpcPort"], DATACATALOG_GRPC);
    })?;
    draft.edit_config(Component::Flyteadmin, |config| {
        config.set_missing("server.yaml", &["server", "httpPort"], ADMIN_HTTP);
        config.set_missing("server.yaml", &["server", "grpcPort"], ADMIN_GRPC);
        config.set("server.yaml", &["flyteadmin", "profilerPort"], PROFILER);
    })?;
    draft.edit_config(Component::Flytepropeller, |config| {
        config.set("core.yaml", &["propeller", "prof-port"], PROFILER);
    })?;
    draft.edit_config(Component::Flytescheduler, |config| {
        config.set("server.yaml", &["scheduler", "profilerPort"], PROFILER);
    })
}

/// Whether it makes pods that stay.
pub(super) fn is_lasting(object: &Object) -> bool {
    matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
}

/// Which of the containers runs the component: the one of its name, or of its image, or the only one.
fn own(object: &Object, component: Component) -> Option<usize> {
    let containers = object.pod_spec()?.get("containers")?.as_array()?;
    let named = containers.iter().position(|one| one["name"] == component.id());
    let by_image = || containers.iter().position(|one| runs(one, component));
    let only = (containers.len() == 1).then_some(0);
    named.or_else(by_image).or(only)
}

fn runs(container: &Value, component: Component) -> bool {
    let image = container.get("image").and_then(Value::as_str).and_then(|image| image.parse::<ImageRef>().ok());
    let last = image.as_ref().and_then(|image| image.repository().rsplit('/').next()).unwrap_or_default();
    match component {
        Component::Postgres => matches!(last, "postgres" | "postgresql"),
        Component::Dashboard => last == "dashboard",
        Component::Gateway => last == "envoy",
        Component::Registry => last == "registry",
        _ => last == component.id(),
    }
}

/// Flags of the log library of upstream's first programs, which later ones do not know and take what follows for a command.
const LOG_FLAGS: [&str; 5] = ["--logtostderr", "--alsologtostderr", "--stderrthreshold", "--log_dir", "--vmodule"];

/// Has a program read all files of its folder, where transforms write settings, and leaves out flags that it does not know.
fn settings_words(container: &mut Value) {
    for list in ["command", "args"] {
        let Some(words) = container.get_mut(list).and_then(Value::as_array_mut) else { continue };
        words.retain(|word| {
            let flag = word.as_str().map(|word| word.split('=').next().unwrap_or_default());
            !flag.is_some_and(|flag| LOG_FLAGS.contains(&flag))
        });
        let mut follows = false;
        for word in words.iter_mut() {
            let Some(text) = word.as_str() else { continue };
            let (flag, files) = match text.strip_prefix("--config=") {
                Some(files) => ("--config=", files),
                None => ("", text),
            };
            let names_files = follows || !flag.is_empty();
            follows = text == "--config";
            if let Some((folder, file)) = files.rsplit_once('/').filter(|_| names_files)
                && file != "*.yaml"
                && (file.ends_with(".yaml") || file.ends_with(".yml"))
            {
                *word = json!(format!("{flag}{folder}/*.yaml"));
            }
        }
    }
}

fn rename(object: &mut Object, index: usize, component: Component) {
    let Some(container) = object.containers_mut("containers").nth(index) else { return };
    if container["name"] != component.id() {
        put(container, "name", json!(component.id()));
    }
}
