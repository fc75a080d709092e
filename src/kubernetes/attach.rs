//! A command in a container that somebody types into and reads along with.

use std::io;

use futures::SinkExt;
use futures::channel::mpsc::Receiver;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, TerminalSize};
use kube::{Client, ResourceExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::feed::{Errors, Feed, PIECE};
use super::logs::status;
use super::{ExecError, PodSelection, ask};
use crate::failure::{Failure, Reason};
use crate::limits::API_ANSWER;

/// What a command reads.
#[derive(Debug)]
pub enum Input<R> {
    /// Nothing.
    None,
    /// This, to its end.
    Piped(R),
    /// What is typed into a terminal, whose width and height change.
    Terminal(R, Receiver<(u16, u16)>),
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningContainer {
    namespace: String,
    pod: String,
    name: String,
}

/// The first container of the newest selected pod that runs, or the one whose `name` is the component's.
///
/// # Errors
/// [`Reason::NotFound`]: none runs; [`Reason::ClusterNotReady`].
pub async fn running_container(
    client: &Client,
    selection: &PodSelection,
    name: &str,
) -> Result<RunningContainer, Failure> {
    let pods = selection.pods(client).await?;
    let found = pods.iter().rev().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(|pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let runs = |container: &str| {
            let state = status(pod, container).and_then(|status| status.state.as_ref());
            state.is_some_and(|state| state.running.is_some())
        };
        let running: Vec<_> = containers.map(|container| &container.name).filter(|name| runs(name)).collect();
        let chosen = running.iter().find(|container| **container == name).or(running.first())?;
        let (namespace, name) = (pod.namespace().unwrap_or_default(), (*chosen).clone());
        Some(RunningContainer { namespace, pod: pod.name_any(), name })
    });
    found.ok_or_else(|| {
        let hint = match pods.last() {
            Some(pod) => format!("`sandbox logs {}` shows what it wrote", pod.name_any()),
            None => "`sandbox status` shows what it waits for".to_owned(),
        };
        Failure::new(Reason::NotFound, "no container of it runs").on(name).hint(hint)
    })
}

/// Runs a command in a container, and hands on its output as it comes; its exit code. `streaming` is a client that takes
/// silence for silence.
///
/// # Errors
/// [`ExecError`]; a command that ran and failed is none.
pub async fn attach(
    streaming: &Client,
    container: &RunningContainer,
    command: &[String],
    input: Input<impl AsyncRead + Unpin>,
    mut stdout: impl AsyncWrite + Unpin,
    mut stderr: impl AsyncWrite + Unpin,
) -> Result<u8, ExecError> {
    let RunningContainer { namespace, pod, name } = container;
    let tty = matches!(input, Input::Terminal(..));
    let parameters = AttachParams {
        container: Some(name.clone()),
        stdin: !matches!(input, Input::None),
        stdout: true,
        // A terminal has one output.
        stderr: !tty,
        tty,
        max_stdin_buf_size: Some(PIECE),
        max_stdout_buf_size: Some(PIECE),
        max_stderr_buf_size: Some(PIECE),
    };
    let feed = matches!(input, Input::Piped(_)).then(Feed::new);
    let words = command.iter().map(String::as_str);
    let words: Vec<_> = match &feed {
        Some(feed) => feed.command(words).collect(),
        None => words.collect(),
    };
    let pods: Api<Pod> = Api::namespaced(streaming.clone(), namespace);
    let mut process = ask(API_ANSWER, pods.exec(pod, words, &parameters)).await?;
    let (stdin, from, errors) = (process.stdin(), process.stdout(), process.stderr());
    let (status, sizes) = (process.take_status(), process.terminal_size());
    let send = async {
        let Some(mut to) = stdin else { return Ok::<_, io::Error>(()) };
        match (input, &feed) {
            (Input::Piped(mut from), Some(feed)) => {
                let mut bytes = vec![0; PIECE];
                loop {
                    let size = from.read(&mut bytes).await?;
                    if feed.write(&mut to, &bytes[..size]).await.is_err() || size == 0 {
                        break;
                    }
                }
            }
            (Input::Terminal(mut from, changes), _) => {
                let resize = async {
                    let Some(mut sizes) = sizes else { return Ok(()) };
                    let changes =
                        futures::StreamExt::map(changes, |(width, height)| Ok(TerminalSize { width, height }));
                    sizes.send_all(&mut Box::pin(changes)).await.map_err(io::Error::other)
                };
                let (_, typed) = tokio::join!(resize, tokio::io::copy(&mut from, &mut to));
                typed?;
            }
            _ => {}
        }
        // Kept open until the command ends: an old API takes the end of the input for that of the connection.
        std::future::pending().await
    };
    let ended = async {
        let mut own = feed.as_ref().map(Feed::errors);
        let out = copy(from, &mut stdout, <[u8]>::to_vec);
        let err = copy(errors, &mut stderr, |bytes| own.as_mut().map_or_else(|| bytes.to_vec(), |own| own.take(bytes)));
        tokio::try_join!(out, err).map_err(ExecError::Output)?;
        let rest = own.map(Errors::end).unwrap_or_default();
        stderr.write_all(&rest).await.map_err(ExecError::Output)?;
        let Some(status) = status else { return Err(ExecError::Cut) };
        exit_code(status.await.ok_or(ExecError::Cut)?)
    };
    tokio::select! {
        code = ended => code,
        // An input that cannot be read is one that the command did not wait for.
        Err(error) = send => Err(ExecError::Output(error)),
    }
}

async fn copy(
    from: Option<impl AsyncRead + Unpin>,
    to: &mut (impl AsyncWrite + Unpin),
    mut own: impl FnMut(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut bytes = vec![0; PIECE];
    loop {
        match from.read(&mut bytes).await? {
            0 => return Ok(()),
            count => {
                to.write_all(&own(&bytes[..count])).await?;
                to.flush().await?;
            }
        }
    }
}

/// The exit code that the API tells of: 0, or that of a command which failed.
fn exit_code(status: Status) -> Result<u8, ExecError> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let mut code = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.find_map(|cause| cause.message.as_deref()?.parse::<i32>().ok());
    match code {
        Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        None => Err(ExecError::Failed {
            message: status.message.unwrap_or_else(|| "the command failed".to_owned()),
            words: Vec::new(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_that_failed_has_an_exit_code_and_one_that_could_not_be_run_has_words() {
        let status = |status: serde_json::Value| exit_code(serde_json::from_value(status).expect("a status"));
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        assert_eq!(status(json!({"status": "Success"})).expect("ran"), 0);
        assert_eq!(status(failed).expect("ran"), 3);
        let absent = json!({"status": "Failure", "message": "no such file", "reason": "InternalError"});
        assert_eq!(status(absent).expect_err("did not run").to_string(), "no such file");
    }
}
