//! Where to go.

use crate::report::{Endpoint, Event};
use crate::spec::Spec;
use crate::state::StateDir;

/// URLs and the `kubectl` line of a sandbox.
pub(super) fn ready(spec: &Spec, state: &StateDir) -> Event {
    Event::Ready {
        endpoints: endpoints(spec),
        kubectl: format!("kubectl --kubeconfig {} get pods -A", quoted(&state.kubeconfig().display().to_string())),
    }
}

/// The published ports, by what is behind them.
pub(super) fn endpoints(spec: &Spec) -> Vec<Endpoint> {
    let endpoint =
        |name: &str, url: String, credentials: Option<String>| Endpoint { name: name.to_owned(), url, credentials };
    let keys = format!("`sandbox credentials --name {}` prints the keys", spec.name);
    vec![
        endpoint("console", format!("http://localhost:{}/console", spec.ports.console), None),
        endpoint("admin", format!("localhost:{} (gRPC, insecure)", spec.ports.console), None),
        endpoint("dashboard", format!("http://localhost:{}/", spec.ports.dashboard), None),
        endpoint("minio", format!("http://localhost:{}/minio/", spec.ports.minio), Some(keys)),
    ]
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@".contains(c));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_or_quotes_survives_a_shell() {
        assert_eq!(quoted("/home/a/b.yaml"), "/home/a/b.yaml");
        assert_eq!(quoted("/home/a b/it's"), r"'/home/a b/it'\''s'");
    }
}
