//! A command inside a container, with or without input.

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

use super::client::{Docker, failed, timely, within_limit};
use crate::failure::{Failure, Reason};

/// What a command left behind.
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

fn attempt(container: &str, argv: &[&str]) -> String {
    format!("cannot run `{}` in {container}", argv.join(" "))
}

impl Docker {
    /// Runs a short command in a running container.
    ///
    /// # Errors
    /// [`Reason::Docker`] when it could not be run, [`Reason::DockerSilent`] when it did not end in time; a command that
    /// ran and failed is an [`Output`].
    pub async fn exec(&self, container: &str, argv: &[&str]) -> Result<Output, Failure> {
        let run = self.run_exec(container, argv, None::<futures::stream::Empty<Result<Bytes, Failure>>>);
        within_limit(&attempt(container, argv), run).await
    }

    /// Runs a command in a running container, feeding it `input` and then the end of file.
    ///
    /// # Errors
    /// As [`Docker::exec`], and the input's own failure.
    pub async fn exec_with_input(
        &self,
        container: &str,
        argv: &[&str],
        input: impl Stream<Item = Result<Bytes, Failure>> + Send,
    ) -> Result<Output, Failure> {
        self.run_exec(container, argv, Some(input)).await
    }

    async fn run_exec(
        &self,
        container: &str,
        argv: &[&str],
        source: Option<impl Stream<Item = Result<Bytes, Failure>> + Send>,
    ) -> Result<Output, Failure> {
        let what = attempt(container, argv);
        let options = CreateExecOptions {
            cmd: Some(argv.to_vec()),
            attach_stdin: Some(source.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec = timely(self.client.create_exec(container, options)).await.map_err(|error| failed(&what, &error))?;
        let started = timely(self.client.start_exec(&exec.id, None::<StartExecOptions>)).await;
        let StartExecResults::Attached { mut output, input } = started.map_err(|error| failed(&what, &error))? else {
            return Err(Failure::new(Reason::Docker, what).because("the daemon did not attach to the command"));
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let read = async {
            while let Some(chunk) = output.next().await {
                match chunk.map_err(|error| failed(&what, &error))? {
                    LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        stdout.extend_from_slice(&message)
                    }
                    LogOutput::StdIn { .. } => {}
                }
            }
            Ok::<(), Failure>(())
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
                    Ok::<(), Failure>(())
                };
                tokio::try_join!(read, write)?;
            }
        }
        let done = timely(self.client.inspect_exec(&exec.id)).await.map_err(|error| failed(&what, &error))?;
        Ok(Output {
            code: done.exit_code.unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }
}
