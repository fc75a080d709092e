//! A command inside a container, with or without input.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures::stream::Empty;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

use super::client::Docker;
use super::error::{Cause, Error, Request};
use super::kept::{Kept, Size};
use crate::deadline::Deadline;
use crate::limits;

/// The most that a command may write to its standard output, in bytes: a list of 250 images has 200 KB.
const STDOUT_SIZE: usize = 4 << 20;
/// The most of the end of its standard error, in bytes.
const STDERR_SIZE: usize = 64 << 10;

/// The exit code and output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub code: i64,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with zero.
    #[must_use]
    pub const fn success(&self) -> bool {
        self.code == 0
    }

    /// The last non-empty line it wrote to standard error, or else to standard output.
    #[must_use]
    pub fn complaint(&self) -> &str {
        let mut lines = self.stderr.lines().rev().chain(self.stdout.lines().rev());
        lines.find(|line| !line.trim().is_empty()).unwrap_or_default()
    }
}

impl Docker {
    /// Runs a short command in a running container.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker) when it could not be run or wrote more than 4 MiB,
    /// [`Reason::DockerSilent`](crate::failure::Reason::DockerSilent) when it did not end in time; a command that ran and
    /// failed is an [`Output`].
    pub async fn exec(&self, container: &str, argv: &[&str]) -> Result<Output, Error> {
        self.run_exec(container, argv, limits::DOCKER_REQUEST, None::<Empty<Result<Bytes, Error>>>).await
    }

    /// Runs a command in a running container for `limit` at most, feeding it `input` and then the end of file.
    ///
    /// # Errors
    /// As [`Docker::exec`], and the input's own error.
    pub async fn exec_with_input(
        &self,
        container: &str,
        argv: &[&str],
        limit: Duration,
        input: impl Stream<Item = Result<Bytes, Error>> + Send,
    ) -> Result<Output, Error> {
        self.run_exec(container, argv, limit, Some(input)).await
    }

    async fn run_exec(
        &self,
        container: &str,
        argv: &[&str],
        limit: Duration,
        source: Option<impl Stream<Item = Result<Bytes, Error>> + Send>,
    ) -> Result<Output, Error> {
        let request = Request::Exec { container: container.to_owned(), command: argv.join(" ") };
        let run = self.attached(&request, container, argv, limit, source);
        let ended = Deadline::fixed(limit).limit(run).await;
        ended.unwrap_or_else(|| Err(Error { request, cause: Cause::Silent(limit) }))
    }

    async fn attached(
        &self,
        request: &Request,
        container: &str,
        argv: &[&str],
        limit: Duration,
        source: Option<impl Stream<Item = Result<Bytes, Error>> + Send>,
    ) -> Result<Output, Error> {
        let options = CreateExecOptions {
            cmd: Some(argv.to_vec()),
            attach_stdin: Some(source.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let short = limits::DOCKER_REQUEST;
        let exec = self.ask(request.clone(), short, |client| client.create_exec(container, options)).await?;
        let options = None::<StartExecOptions>;
        let started = self.ask(request.clone(), short, |client| client.start_exec(&exec.id, options)).await?;
        let failed = |cause| Error { request: request.clone(), cause };
        let StartExecResults::Attached { mut output, input } = started else { return Err(failed(Cause::Detached)) };
        let (mut stdout, mut stderr) = (Kept::new(Size::Whole(STDOUT_SIZE)), Kept::new(Size::End(STDERR_SIZE)));
        let read = async {
            while let Some(chunk) = output.next().await {
                match chunk.map_err(|error| Error::new(request.clone(), error, limit))? {
                    LogOutput::StdErr { message } => stderr.push(&message),
                    LogOutput::StdOut { message } | LogOutput::Console { message } => stdout.push(&message),
                    LogOutput::StdIn { .. } => Ok(()),
                }
                .map_err(failed)?;
            }
            Ok::<(), Error>(())
        };
        match source {
            None => {
                // The write half stays open until the output ends: dropping it may take the connection down.
                let kept = input;
                read.await?;
                drop(kept);
            }
            Some(source) => {
                let mut writer = input;
                let write = async {
                    let mut source = std::pin::pin!(source);
                    while let Some(chunk) = source.try_next().await? {
                        // A command that stops reading has said why on its standard error: that is the cause to tell.
                        if writer.write_all(&chunk).await.is_err() {
                            return Ok(());
                        }
                    }
                    let _ = writer.shutdown().await;
                    Ok::<(), Error>(())
                };
                tokio::try_join!(read, write)?;
            }
        }
        let done = self.ask(request.clone(), short, |client| client.inspect_exec(&exec.id)).await?;
        let text = |kept: Kept| String::from_utf8_lossy(&kept.into_bytes()).into_owned();
        Ok(Output { code: done.exit_code.unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) })
    }
}
