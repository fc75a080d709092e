//! A client from a kubeconfig, never from the user's own surroundings.

use futures::FutureExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;

use crate::failure::{Failure, Reason};
use crate::limits::{API_CONNECT, API_SILENCE, API_WRITE};

/// A kubeconfig that cannot be used.
#[derive(Debug, Error)]
pub enum KubeconfigError {
    /// It is not YAML, or lacks something.
    #[error(transparent)]
    Invalid(#[from] kube::config::KubeconfigError),
    /// It names a program that has to be asked for more.
    #[error("it wants to be completed by something outside of it")]
    Incomplete,
    /// No connection can be made by it.
    #[error(transparent)]
    Client(#[from] kube::Error),
}

impl From<KubeconfigError> for Failure {
    fn from(error: KubeconfigError) -> Self {
        Self::new(Reason::ClusterNotReady, "cannot use the sandbox's kubeconfig")
            .caused_by(error)
            .hint("`sandbox down` followed by `sandbox up` makes a new one")
    }
}

/// A client for the current context of a kubeconfig's text. It uses no proxy, reads no user configuration and retries
/// nothing by itself; an API that falls silent ends the request. Must be called inside a tokio runtime.
///
/// # Errors
/// The text is no usable kubeconfig.
pub fn client(kubeconfig: &str) -> Result<Client, KubeconfigError> {
    connected(Kubeconfig::from_yaml(kubeconfig)?)
}

/// As [`client`], for a connection that somebody types into or reads along with: silence does not end it, nor that
/// nobody reads what is sent.
///
/// # Errors
/// The text is no usable kubeconfig.
pub fn streaming_client(kubeconfig: &str) -> Result<Client, KubeconfigError> {
    let mut config = config(Kubeconfig::from_yaml(kubeconfig)?)?;
    (config.read_timeout, config.write_timeout) = (None, None);
    Ok(Client::try_from(config)?)
}

/// As [`client`], of a kubeconfig that was read.
///
/// # Errors
/// It cannot be used.
pub(crate) fn connected(parsed: Kubeconfig) -> Result<Client, KubeconfigError> {
    Ok(Client::try_from(config(parsed)?)?)
}

fn config(mut parsed: Kubeconfig) -> Result<Config, KubeconfigError> {
    for cluster in parsed.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // A value here keeps the loader from reading HTTPS_PROXY; it is dropped again below.
        cluster.proxy_url = Some("http://unused.invalid".to_owned());
    }
    let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .now_or_never()
        .ok_or(KubeconfigError::Incomplete)??;
    config.proxy_url = None;
    config.default_retry = false;
    config.connect_timeout = Some(API_CONNECT);
    config.read_timeout = Some(API_SILENCE);
    config.write_timeout = Some(API_WRITE);
    Ok(config)
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
            let failure = Failure::from(client(text).err().expect("a failure"));
            assert_eq!(failure.reason, Reason::ClusterNotReady);
            assert!(!failure.causes.is_empty(), "{text:?} gave {failure}");
        }
    }
}
