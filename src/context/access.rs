//! The user's kubeconfig, read and never written, for one named context.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kube::Client;
use kube::config::Kubeconfig;

use super::place::Place;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::kubernetes;
use crate::limits::CREDENTIAL_PLUGIN;

/// A way into a given cluster.
#[derive(Clone)]
pub struct Access {
    /// The API, as the user whom the context names.
    pub client: Client,
    /// The named context with its cluster and user, and nothing else of the user's file. It has credentials.
    pub kubeconfig: String,
    /// The API's address.
    pub server: String,
}

impl Access {
    /// Reads the kubeconfig that `place` names, or those that kubectl would read: `variables` and `home` are the user's.
    /// What the kubeconfig takes credentials from, such as a plugin, is waited for beside the runtime's own work, so that
    /// an interrupt need not wait for it.
    ///
    /// # Errors
    /// [`Reason::ContextUnusable`]: there is no such file or context, or it cannot be used; [`Reason::SandboxDiffers`]:
    /// the context leads to another address than it did.
    pub async fn open(
        place: &Place,
        variables: &BTreeMap<String, String>,
        home: Option<&Path>,
    ) -> Result<Self, Failure> {
        let (own, variables, home) = (place.clone(), variables.clone(), home.map(Path::to_owned));
        let read = tokio::task::spawn_blocking(move || Self::read(&own, &variables, home.as_deref()));
        let unusable = || {
            Failure::new(Reason::ContextUnusable, "cannot use the kubeconfig context")
                .on(format!("context {}", place.context))
        };
        let deadline = Deadline::fixed(CREDENTIAL_PLUGIN);
        let late =
            || unusable().because(deadline.expired_message()).because("its credentials or its files do not come");
        deadline.limit(read).await.ok_or_else(late)?.map_err(|error| unusable().caused_by(error))?
    }

    /// The same, in a thread that may wait.
    fn read(place: &Place, variables: &BTreeMap<String, String>, home: Option<&Path>) -> Result<Self, Failure> {
        let unusable = || {
            Failure::new(Reason::ContextUnusable, "cannot use the kubeconfig context")
                .on(format!("context {}", place.context))
        };
        let files = files(place, variables, home);
        let mut whole = Kubeconfig::default();
        for file in &files {
            // As kubectl: of several, some may be missing.
            if files.len() > 1 && !file.exists() {
                continue;
            }
            let read = Kubeconfig::read_from(file).and_then(|read| whole.merge(read));
            whole = read.map_err(|error| unusable().because(file.display()).caused_by(error))?;
        }
        let known: Vec<_> = whole.contexts.iter().map(|context| context.name.clone()).collect();
        let (one, server) = only(whole, &place.context).ok_or_else(|| {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            let failure =
                unusable().because(format!("there is no such context, or it has no cluster, in {}", files.join(", ")));
            if known.is_empty() { failure } else { failure.hint(format!("contexts there are: {}", known.join(", "))) }
        })?;
        if let Some(proxy) = one.clusters.iter().find_map(|named| named.cluster.as_ref()?.proxy_url.as_ref()) {
            return Err(unusable().because(format!("it leads through the proxy {proxy}, and this program uses none")));
        }
        if place.server.as_ref().is_some_and(|known| *known != server) {
            return Err(Failure::new(Reason::SandboxDiffers, "the context leads to another cluster than it did")
                .on(format!("context {}", place.context))
                .because(format!(
                    "it leads to {server}, and the sandbox is on {}",
                    place.server.as_deref().unwrap_or_default()
                ))
                .hint("`--name` chooses another name, for a sandbox there"));
        }
        let kubeconfig = serde_json::to_string_pretty(&one).map_err(|error| unusable().caused_by(error))?;
        let client = kubernetes::connected(one).map_err(|error| unusable().caused_by(error))?;
        Ok(Self { client, kubeconfig, server })
    }
}

fn files(place: &Place, variables: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<PathBuf> {
    if let Some(file) = &place.kubeconfig {
        return vec![PathBuf::from(file)];
    }
    let listed = variables.get("KUBECONFIG").map(String::as_str).unwrap_or_default();
    let listed: Vec<_> = listed.split(':').filter(|file| !file.is_empty()).map(PathBuf::from).collect();
    if listed.is_empty() { home.map(|home| home.join(".kube/config")).into_iter().collect() } else { listed }
}

/// The context with its cluster and user, made the current one of a kubeconfig without others; and the API's address.
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

    fn place(context: &str, file: Option<&Path>) -> Place {
        let kubeconfig = file.map(|file| file.display().to_string());
        Place { context: context.to_owned(), kubeconfig, namespace: "n".to_owned(), server: None }
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
        for (place, env) in [
            (place("ours", Some(&file)), env("/nowhere")),
            (place("ours", None), env(&format!("{absent}:{}", file.display()))),
        ] {
            let access = Access::read(&place, &env, None).expect("a way in");
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
        let to = |place: &Place| Access::read(place, &BTreeMap::new(), Some(home.path())).err().expect("no way in");
        let absent = to(&place("other", None));
        assert_eq!(
            (absent.reason, absent.hints),
            (Reason::ContextUnusable, vec!["contexts there are: theirs, ours".to_owned()])
        );
        let moved = Place { server: Some("http://127.0.0.1:9".to_owned()), ..place("ours", None) };
        assert_eq!(to(&moved).reason, Reason::SandboxDiffers);
        assert_eq!(to(&place("ours", Some(Path::new("/nowhere/config")))).reason, Reason::ContextUnusable);
    }
}
