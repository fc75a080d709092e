//! The URLs of a sandbox, and the `kubectl` line that reaches it.

use crate::flyte::names::{self, PublishedService};
use crate::report::{Endpoint, Event};
use crate::spec::Spec;
use crate::state::StateDir;
use crate::text::shell_word;

/// The event that says where a sandbox is reached.
#[must_use]
pub fn ready(spec: &Spec, state: &StateDir) -> Event {
    let kubectl = match attached_kubectl(spec) {
        Some(kubectl) => format!("{kubectl} get pods"),
        None => format!("kubectl --kubeconfig {} get pods -A", shell_word(&state.kubeconfig().display().to_string())),
    };
    Event::Ready { endpoints: endpoints(spec), kubectl }
}

/// The `kubectl` command for the system namespace of an attached cluster.
fn attached_kubectl(spec: &Spec) -> Option<String> {
    let context = spec.context.as_deref().filter(|_| !spec.scope().owns_cluster)?;
    let file = spec.kubeconfig.as_deref().map(|file| format!(" --kubeconfig {}", shell_word(file))).unwrap_or_default();
    Some(format!("kubectl{file} --context {} -n {}", shell_word(context), spec.system_namespace()))
}

/// The endpoints of a sandbox. On an attached cluster no port is published: each says how it is reached.
#[must_use]
pub fn endpoints(spec: &Spec) -> Vec<Endpoint> {
    let kubectl = attached_kubectl(spec);
    let endpoint = |name: &str, url: String, credentials: Option<String>| {
        let forward = |kubectl: &String| {
            let (PublishedService { service, port: own, .. }, port) = match name {
                "dashboard" => (names::PUBLISHED_DASHBOARD, spec.ports.dashboard),
                "minio" => (names::PUBLISHED_MINIO, spec.ports.minio),
                "postgres" => (names::PUBLISHED_POSTGRES, spec.ports.postgres.unwrap_or_default()),
                _ => (names::PUBLISHED_CONSOLE, spec.ports.console),
            };
            format!("{url} while `{kubectl} port-forward service/{service} {port}:{own}` runs")
        };
        let url = kubectl.as_ref().map_or_else(|| url.clone(), forward);
        Endpoint { name: name.to_owned(), url, credentials }
    };
    let keys = format!("`sandbox credentials --name {}` prints the keys", spec.name);
    let postgres = spec.ports.postgres.map(|port| endpoint("postgres", format!("127.0.0.1:{port}"), None));
    let always = [
        endpoint("console", format!("http://127.0.0.1:{}/console", spec.ports.console), None),
        endpoint("admin", format!("127.0.0.1:{} (gRPC, insecure)", spec.ports.console), None),
        endpoint("dashboard", format!("http://127.0.0.1:{}/", spec.ports.dashboard), None),
        endpoint("minio", format!("http://127.0.0.1:{}/minio/", spec.ports.minio), Some(keys)),
    ];
    let registry = spec.ports.registry.map(|port| endpoint("registry", format!("localhost:{port}"), None));
    always.into_iter().chain(postgres).chain(registry).collect()
}
