//! A client from a kubeconfig, never from the user's own surroundings.

use futures::FutureExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::failure::{Failure, Reason};
use crate::limits::{API_CONNECT, API_SILENCE, API_WRITE};

/// A client for the current context of a kubeconfig's text. It uses no proxy, reads no user configuration and retries
/// nothing by itself; an API that falls silent ends the request. Must be called inside a tokio runtime.
///
/// # Errors
/// [`Reason::ClusterNotReady`] when the text is no usable kubeconfig.
pub fn client(kubeconfig: &str) -> Result<Client, Failure> {
    let unusable = || {
        Failure::new(Reason::ClusterNotReady, "cannot use the sandbox's kubeconfig")
            .hint("`sandbox down` followed by `sandbox up` makes a new one")
    };
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|error| unusable().caused_by(error))?;
    connected(parsed, unusable)
}

/// As [`client`], of a kubeconfig that was read; `unusable` is the failure that it cannot be used.
///
/// # Errors
/// `unusable`, with the cause.
pub(crate) fn connected(mut parsed: Kubeconfig, unusable: impl Fn() -> Failure) -> Result<Client, Failure> {
    for cluster in parsed.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // A value here keeps the loader from reading HTTPS_PROXY; it is dropped again below.
        cluster.proxy_url = Some("http://unused.invalid".to_owned());
    }
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .now_or_never()
        .ok_or_else(|| unusable().because("it wants to be completed by something outside of it"))?
        .map_err(|error| unusable().caused_by(error))?;
    config.proxy_url = None;
    config.default_retry = false;
    config.connect_timeout = Some(API_CONNECT);
    config.read_timeout = Some(API_SILENCE);
    config.write_timeout = Some(API_WRITE);
    Client::try_from(config).map_err(|error| unusable().caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "apiVersion: v1\nkind: Config\ncurrent-context: s\nclusters: [{name: s, cluster: {server: 'http://127.0.0.1:1'}}]\ncontexts: [{name: s, context: {cluster: s, user: s, namespace: there}}]\nusers: [{name: s, user: {}}]\n";

    #[tokio::test]
    async fn the_current_context_gives_server_and_namespace() {
        assert_eq!(client(PLAIN).expect("a usable kubeconfig").default_namespace(), "there");
    }

    #[tokio::test]
    async fn text_that_is_no_kubeconfig_is_a_failure_with_a_cause() {
        for text in ["", "{", "kind: Config", "current-context: nowhere"] {
            let failure = client(text).err().expect("a failure");
            assert_eq!(failure.reason, Reason::ClusterNotReady);
            assert!(!failure.causes.is_empty(), "{text:?} gave {failure}");
        }
    }
}
