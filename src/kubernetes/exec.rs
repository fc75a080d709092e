//! Commands in a container, by the API's `exec`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, ListParams};
use kube::{Client, ResourceExt};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::feed::Feed;
use super::{ApiError, ask};
use crate::limits::API_ANSWER;

/// Bytes that are read or written at a time.
const CHUNK: usize = 64 << 10;
/// Bytes of a command's standard error that are kept: its last ones.
const WORDS: usize = 4 << 10;

/// A container of a pod that is ready.
#[derive(Debug, Clone)]
pub struct Container {
    pods: Api<Pod>,
    pod: String,
    name: String,
    image: String,
    init_commands: Vec<Vec<String>>,
}

/// Why a command did not end well.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The API refused it, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It ended with an error.
    #[error("{message}")]
    Failed {
        /// The API's words, with the exit code.
        message: String,
        /// The end of its standard error.
        words: Vec<String>,
    },
    /// The connection ended before the command did.
    #[error("the connection ended before the command did")]
    Cut,
    /// What was to be its input did not come to its end.
    #[error("its input ended too early")]
    Input,
    /// Its output could not be kept.
    #[error(transparent)]
    Output(io::Error),
}

/// The containers of a namespace's ready pods, by name; one of those that have the same name.
///
/// # Errors
/// The API does not answer.
pub async fn containers(client: &Client, namespace: &str) -> Result<BTreeMap<String, Container>, ApiError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = ask(API_ANSWER, pods.list(&ListParams::default())).await?;
    let ready = listed.items.into_iter().filter(super::port_forward::is_ready);
    let all = ready.flat_map(|pod| {
        let (pods, name) = (pods.clone(), pod.name_any());
        let spec = pod.spec.unwrap_or_default();
        let before = spec.init_containers.unwrap_or_default().into_iter();
        let init_commands: Vec<Vec<String>> =
            before.map(|one| one.command.into_iter().chain(one.args).flatten().collect()).collect();
        spec.containers.into_iter().map(move |container| {
            let image = container.image.unwrap_or_default();
            let found = Container {
                pods: pods.clone(),
                pod: name.clone(),
                name: container.name,
                image,
                init_commands: init_commands.clone(),
            };
            (found.name.clone(), found)
        })
    });
    Ok(all.collect())
}

impl Container {
    /// A container of a pod, whether it is ready or not.
    #[must_use]
    pub fn of(client: &Client, namespace: &str, pod: &str, name: &str) -> Self {
        let pods = Api::namespaced(client.clone(), namespace);
        Self { pods, pod: pod.to_owned(), name: name.to_owned(), image: String::new(), init_commands: Vec::new() }
    }

    /// The image, as its pod names it.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The name of its pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// The commands of its pod's init containers, in order.
    pub fn init_commands(&self) -> impl Iterator<Item = &[String]> {
        self.init_commands.iter().map(Vec::as_slice)
    }

    /// Runs a command, and hands on its standard output as it comes.
    ///
    /// # Errors
    /// [`ExecError`]
    pub async fn run(&self, command: &[&str], output: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), ExecError> {
        self.exec(command, None, output).await
    }

    /// Runs a command that reads `size` bytes of standard input and no more: before Kubernetes 1.30 the API has no way
    /// to say that an input has ended. Where they end earlier, so does the connection, and the command with it.
    ///
    /// # Errors
    /// [`ExecError`]
    pub async fn feed(&self, command: &[&str], input: mpsc::Receiver<Bytes>, size: u64) -> Result<(), ExecError> {
        self.exec(command, Some((input, size)), |_| Ok(())).await
    }

    async fn exec(
        &self,
        command: &[&str],
        input: Option<(mpsc::Receiver<Bytes>, u64)>,
        mut output: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ExecError> {
        let parameters = AttachParams {
            container: Some(self.name.clone()),
            stdin: input.is_some(),
            stdout: true,
            stderr: true,
            max_stdin_buf_size: Some(CHUNK),
            max_stdout_buf_size: Some(CHUNK),
            ..AttachParams::default()
        };
        let pieces = input.is_some().then(Feed::new);
        let words = command.iter().copied();
        let words: Vec<_> = match &pieces {
            Some(pieces) => pieces.command(words).collect(),
            None => words.collect(),
        };
        let mut process = ask(API_ANSWER, self.pods.exec(&self.pod, words, &parameters)).await?;
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let status = process.take_status();
        let feed = async {
            let (Some(mut stdin), Some(pieces), Some((mut input, mut left))) = (stdin, &pieces, input) else {
                return std::future::pending::<Result<Infallible, ExecError>>().await;
            };
            while left > 0 {
                let bytes = input.recv().await.ok_or(ExecError::Input)?;
                left = left.saturating_sub(bytes.len() as u64);
                // A command that ended early says why by its status.
                if pieces.write(&mut stdin, &bytes).await.is_err() {
                    break;
                }
            }
            // Kept until all has ended: an old API takes the end of the input for that of the connection.
            std::future::pending().await
        };
        let read = async {
            let Some(mut stdout) = stdout else { return Ok(()) };
            each_chunk(&mut stdout, |bytes| output(bytes)).await.map_err(ExecError::Output)
        };
        let mut words = Vec::new();
        let listen = async {
            let Some(mut stderr) = stderr else { return Ok(()) };
            let mut own = pieces.as_ref().map(Feed::errors);
            let keep = |bytes: &[u8]| {
                words.extend(own.as_mut().map_or_else(|| bytes.to_vec(), |own| own.take(bytes)));
                words.drain(..words.len().saturating_sub(WORDS));
                Ok(())
            };
            each_chunk(&mut stderr, keep).await.map_err(ExecError::Output)
        };
        let ended = async {
            let Some(status) = status else { return Err(ExecError::Cut) };
            status.await.ok_or(ExecError::Cut)
        };
        let all = async { tokio::try_join!(read, listen, ended).map(|((), (), status)| status) };
        let status = tokio::select! {
            status = all => status,
            Err(error) = feed => Err(error),
        };
        judge(status?, &words)
    }
}

async fn each_chunk(
    from: &mut (impl AsyncRead + Unpin),
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            count => take(&buffer[..count])?,
        }
    }
}

fn judge(status: Status, words: &[u8]) -> Result<(), ExecError> {
    if status.status.as_deref() == Some("Success") {
        return Ok(());
    }
    let message = status.message.unwrap_or_else(|| "the command failed".to_owned());
    let words = String::from_utf8_lossy(words);
    let words = words.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Err(ExecError::Failed { message, words })
}
