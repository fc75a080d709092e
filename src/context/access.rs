//! Access to an attached cluster by one context of the user's kubeconfig, which is read and never written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kube::Client;
use kube::config::Kubeconfig;

use super::cluster_location::ClusterLocation;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::kubernetes;
use crate::limits::CREDENTIAL_PLUGIN;

/// Access to an attached cluster.
#[derive(Clone)]
pub struct ClusterAccess {
    /// A client with the credentials of the context's user.
    pub client: Client,
    /// The named context with its cluster and user, and nothing else of the user's file. It has credentials.
    pub kubeconfig: String,
    /// The address of the API server.
    pub server: String,
}

impl ClusterAccess {
    /// Reads the kubeconfig that `location` names, or those that kubectl would read: `variables` and `home` are the user's.
    /// A credential plugin runs on a thread of its own, so that an interrupt need not wait for it.
    ///
    /// # Errors
    /// [`Reason::ContextUnusable`]: the file or the context does not exist, or cannot be used; [`Reason::SandboxDiffers`]:
    /// the context points at another address than before.
    pub async fn open(
        location: &ClusterLocation,
        variables: &BTreeMap<String, String>,
        home: Option<&Path>,
    ) -> Result<Self, Failure> {
        let (own, variables, home) = (location.clone(), variables.clone(), home.map(Path::to_owned));
        let read = tokio::task::spawn_blocking(move || Self::read(&own, &variables, home.as_deref()));
        let unusable = || {
            Failure::new(Reason::ContextUnusable, "cannot use the kubeconfig context")
                .on(format!("context {}", location.context))
        };
        let deadline = Deadline::fixed(CREDENTIAL_PLUGIN);
        let late = || {
            unusable().because(deadline.expired_message()).because("its files or its credential plugin do not answer")
        };
        deadline.limit(read).await.ok_or_else(late)?.map_err(|error| unusable().caused_by(error))?
    }

    /// The blocking part of [`open`](Self::open).
    fn read(
        location: &ClusterLocation,
        variables: &BTreeMap<String, String>,
        home: Option<&Path>,
    ) -> Result<Self, Failure> {
        let unusable = || {
            Failure::new(Reason::ContextUnusable, "cannot use the kubeconfig context")
                .on(format!("context {}", location.context))
        };
        let files = files(location, variables, home);
        let mut whole = Kubeconfig::default();
        for file in &files {
            // As kubectl: of several, some may be missing.
            if files.len() > 1 && !file.exists() {
                continue;
            }
            // Every command that is about the sandbox reads it anew, which a pipe does not survive.
            if fs::metadata(file).is_ok_and(|there| !there.is_file()) {
                return Err(unusable().because(file.display()).because("it is not a file"));
            }
            let read = Kubeconfig::read_from(file).and_then(|read| whole.merge(read));
            whole = read.map_err(|error| unusable().because(file.display()).caused_by(error))?;
        }
        let known: Vec<_> = whole.contexts.iter().map(|context| context.name.clone()).collect();
        let (one, server) = only(whole, &location.context).ok_or_else(|| {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            let failure =
                unusable().because(format!("no context of this name that has a cluster, in {}", files.join(", ")));
            if known.is_empty() { failure } else { failure.hint(format!("available contexts: {}", known.join(", "))) }
        })?;
        if let Some(proxy) = one.clusters.iter().find_map(|named| named.cluster.as_ref()?.proxy_url.as_ref()) {
            return Err(
                unusable().because(format!("its cluster has the proxy-url {proxy}, and proxies are not supported"))
            );
        }
        if location.server.as_ref().is_some_and(|known| *known != server) {
            return Err(Failure::new(Reason::SandboxDiffers, "the context points at another cluster than before")
                .on(format!("context {}", location.context))
                .because(format!(
                    "it points at {server}; the sandbox is on {}",
                    location.server.as_deref().unwrap_or_default()
                ))
                .hint("`--name` chooses another name, for a sandbox there"));
        }
        let kubeconfig = serde_json::to_string_pretty(&one).map_err(|error| unusable().caused_by(error))?;
        let client = kubernetes::connected(one).map_err(|error| unusable().caused_by(error))?;
        Ok(Self { client, kubeconfig, server })
    }
}

fn files(location: &ClusterLocation, variables: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<PathBuf> {
    if let Some(file) = &location.kubeconfig {
        return vec![PathBuf::from(file)];
    }
    let listed = variables.get("KUBECONFIG").map(String::as_str).unwrap_or_default();
    let listed: Vec<_> = listed.split(':').filter(|file| !file.is_empty()).map(PathBuf::from).collect();
    if listed.is_empty() { home.map(|home| home.join(".kube/config")).into_iter().collect() } else { listed }
}

/// A kubeconfig with this context, its cluster and its user only; and the address of the API server.
fn only(mut whole: Kubeconfig, name: &str) -> Option<(Kubeconfig, String)> {
    whole.contexts.retain(|context| context.name == name);
    let context = whole.contexts.first()?.context.clone()?;
    whole.clusters.retain(|cluster| cluster.name == context.cluster);
    whole.auth_infos.retain(|user| Some(&user.name) == context.user.as_ref());
    let server = whole.clusters.first()?.cluster.as_ref()?.server.clone()?;
    whole.current_context = Some(name.to_owned());
    Some((whole, server))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "current-context: theirs
clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}, {name: b, cluster: {server: 'http://127.0.0.1:2'}}]
contexts: [{name: theirs, context: {cluster: a, user: a}}, {name: ours, context: {cluster: b, user: b}}]
users: [{name: a, user: {token: of-a}}, {name: b, user: {token: of-b}}]
";

    fn location(context: &str, file: Option<&Path>) -> ClusterLocation {
        let kubeconfig = file.map(|file| file.display().to_string());
        ClusterLocation { context: context.to_owned(), kubeconfig, namespace: "n".to_owned(), server: None }
    }

    fn env(file: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("KUBECONFIG".to_owned(), file.to_owned())])
    }

    #[tokio::test]
    async fn only_the_named_context_is_taken_and_the_file_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        std::fs::write(&file, TWO).expect("written");
        let absent = folder.path().join("absent").display().to_string();
        for (location, env) in [
            (location("ours", Some(&file)), env("/nowhere")),
            (location("ours", None), env(&format!("{absent}:{}", file.display()))),
        ] {
            let access = ClusterAccess::read(&location, &env, None).expect("a way in");
            assert_eq!(access.server, "http://127.0.0.1:2");
            assert!(access.kubeconfig.contains("of-b") && !access.kubeconfig.contains("of-a"), "{}", access.kubeconfig);
        }
        assert_eq!(std::fs::read_to_string(&file).expect("there"), TWO);
    }

    #[tokio::test]
    async fn a_context_that_is_not_there_or_leads_elsewhere_is_no_way_in() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join(".kube")).expect("made");
        std::fs::write(home.path().join(".kube/config"), TWO).expect("written");
        let to = |location: &ClusterLocation| {
            ClusterAccess::read(location, &BTreeMap::new(), Some(home.path())).err().expect("no way in")
        };
        let absent = to(&location("other", None));
        assert_eq!(
            (absent.reason, absent.hints),
            (Reason::ContextUnusable, vec!["available contexts: theirs, ours".to_owned()])
        );
        let moved = ClusterLocation { server: Some("http://127.0.0.1:9".to_owned()), ..location("ours", None) };
        assert_eq!(to(&moved).reason, Reason::SandboxDiffers);
        assert_eq!(to(&location("ours", Some(Path::new("/nowhere/config")))).reason, Reason::ContextUnusable);
    }
}
