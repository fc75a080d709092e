//! A command in a container that somebody types into and reads along with.

use std::io;

use futures::SinkExt;
use futures::channel::mpsc::Receiver;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, TerminalSize};
use kube::{Client, ResourceExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::logs::status;
use super::{ExecError, PodSelection, ask};
use crate::failure::{Failure, Reason};
use crate::limits::API_ANSWER;

/// Bytes that are read or written at a time.
const CHUNK: usize = 32 << 10;

/// Before Kubernetes 1.30 the API has no way to say that an input has ended. So it comes in pieces, each behind a line with
/// its size, and 0 says that there is no more. What reads them stays behind when the command ends early; it must end well,
/// for in Postgres' pod it becomes the server's child. `read` takes a byte at a time, and so does not take from a piece.
const FEED: &str = r#"exec 3<&0
{
    (
        trap "" PIPE
        while read -r size && [ "$size" -gt 0 ] && dd bs="$size" count=1 iflag=fullblock; do :; done
        exit 0
    ) <&3 2>/dev/null &
} | "$@" 3<&-"#;

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
        max_stdin_buf_size: Some(CHUNK),
        max_stdout_buf_size: Some(CHUNK),
        max_stderr_buf_size: Some(CHUNK),
    };
    let fed: &[&str] = if matches!(input, Input::Piped(_)) { &["sh", "-c", FEED, "sh"] } else { &[] };
    let command = fed.iter().copied().chain(command.iter().map(String::as_str));
    let pods: Api<Pod> = Api::namespaced(streaming.clone(), namespace);
    let mut process = ask(API_ANSWER, pods.exec(pod, command, &parameters)).await?;
    let (stdin, from, errors) = (process.stdin(), process.stdout(), process.stderr());
    let (status, sizes) = (process.take_status(), process.terminal_size());
    let feed = async {
        let Some(mut to) = stdin else { return Ok::<_, io::Error>(()) };
        match input {
            Input::None => {}
            Input::Piped(from) => pieces(from, &mut to).await?,
            Input::Terminal(mut from, changes) => {
                let resize = async {
                    let Some(mut sizes) = sizes else { return Ok(()) };
                    let changes =
                        futures::StreamExt::map(changes, |(width, height)| Ok(TerminalSize { width, height }));
                    sizes.send_all(&mut Box::pin(changes)).await.map_err(io::Error::other)
                };
                let (_, typed) = tokio::join!(resize, tokio::io::copy(&mut from, &mut to));
                typed?;
            }
        }
        // Kept open until the command ends: an old API takes the end of the input for that of the connection.
        std::future::pending().await
    };
    let ended = async {
        let (out, err) = (copy(from, &mut stdout), copy(errors, &mut stderr));
        tokio::try_join!(out, err).map_err(ExecError::Output)?;
        let Some(status) = status else { return Err(ExecError::Cut) };
        exit_code(status.await.ok_or(ExecError::Cut)?)
    };
    tokio::select! {
        code = ended => code,
        // An input that cannot be written is one that the command did not wait for.
        Err(error) = feed => Err(ExecError::Output(error)),
    }
}

/// Writes the input in pieces, and that it has ended.
async fn pieces(mut from: impl AsyncRead + Unpin, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut piece = vec![0; CHUNK];
    loop {
        let size = from.read(&mut piece).await?;
        let line = format!("{size}\n");
        if to.write_all(line.as_bytes()).await.is_err() || size == 0 {
            return Ok(());
        }
        if to.write_all(&piece[..size]).await.is_err() {
            return Ok(());
        }
    }
}

async fn copy(from: Option<impl AsyncRead + Unpin>, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut bytes = vec![0; CHUNK];
    loop {
        match from.read(&mut bytes).await? {
            0 => return Ok(()),
            count => {
                to.write_all(&bytes[..count]).await?;
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
    use std::process::{Command, Stdio};

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

    /// What the shell within the container makes of pieces, by a shell of this machine.
    async fn fed(input: &[u8], command: &[&str]) -> (Option<i32>, Vec<u8>) {
        let mut sent = Vec::new();
        pieces(input, &mut sent).await.expect("written");
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", FEED, "sh"]).args(command).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("a shell");
        let mut stdin = shell.stdin.take().expect("piped");
        // The input stays open, as the connection does.
        let _ = io::Write::write_all(&mut stdin, &sent);
        let output = shell.wait_with_output().expect("it ends");
        (output.status.code(), output.stdout)
    }

    #[tokio::test]
    async fn an_input_arrives_byte_for_byte_and_ends_while_its_connection_stays_open() {
        let all: Vec<u8> = (0..200_000_u32).map(|byte| (byte % 251) as u8).collect();
        for input in [&b""[..], b"one\ntwo", b"0\n12\n\0\xff", &all] {
            assert_eq!(fed(input, &["cat"]).await, (Some(0), input.to_vec()));
        }
    }

    #[tokio::test]
    async fn a_command_that_does_not_read_its_input_ends_with_its_own_code() {
        assert_eq!(fed(b"unread", &["sh", "-c", "echo out; exit 3"]).await, (Some(3), b"out\n".to_vec()));
        assert_eq!(fed(b"", &["printf", "%s", "a  b"]).await, (Some(0), b"a  b".to_vec()));
    }
}
