//! The three ways to ask a source.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use crate::failure::{Failure, Reason};
use crate::limits::CREDENTIAL_SOURCE;
use crate::process::Tool;
use crate::run::{Run, on_thread};
use crate::spec::CredentialSource;

/// More than keys have.
const LIMIT: u64 = 64 << 10;

/// What the source says of a project, at most [`LIMIT`] bytes of it.
pub(super) async fn ask(
    source: &CredentialSource,
    project: &str,
    bucket: &str,
    variables: &BTreeMap<String, String>,
    run: &Run,
) -> Result<String, Failure> {
    let filled = |text: &String| text.replace("{project}", project).replace("{bucket}", bucket);
    let run = &Run { deadline: run.deadline.min(CREDENTIAL_SOURCE), ..run.clone() };
    match source {
        CredentialSource::File(path) => {
            let path = filled(path);
            let asked = format!("file {path}");
            let read = on_thread(move || {
                let mut text = String::new();
                File::open(&path)?.take(LIMIT).read_to_string(&mut text)?;
                Ok::<_, io::Error>(text)
            });
            within(run, read).await??.map_err(|error| silent(&asked).because(error))
        }
        CredentialSource::Command(words) => {
            let words: Vec<_> = words.iter().map(filled).collect();
            let (program, arguments) =
                words.split_first().map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
            let tool = Tool::new(program, variables.clone()).redacted();
            let written = tool.run(arguments, run, |_| {}).await;
            Ok(written.map_err(|error| error.failure(Reason::CredentialSource))?.stdout.join("\n"))
        }
        CredentialSource::Url(url) => {
            let url = filled(url);
            let asked = format!("GET {url}");
            let answered = async {
                let client =
                    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
                let mut reply = client.get(&url).header(reqwest::header::ACCEPT, "application/json").send().await?;
                let status = reply.status();
                let mut body = Vec::new();
                while let Some(chunk) = reply.chunk().await? {
                    if (body.len() + chunk.len()) as u64 > LIMIT {
                        break;
                    }
                    body.extend_from_slice(&chunk);
                }
                Ok::<_, reqwest::Error>((status, body))
            };
            let (status, body) = within(run, answered).await?.map_err(|error| silent(&asked).caused_by(error))?;
            if status != reqwest::StatusCode::OK {
                return Err(silent(&asked).because(format!("HTTP {status}")));
            }
            String::from_utf8(body).map_err(|_| silent(&asked).because("it is no text"))
        }
    }
}

fn silent(asked: &str) -> Failure {
    Failure::new(Reason::CredentialSource, "the source of a project's keys does not give any").because(asked)
}

async fn within<T>(run: &Run, work: impl Future<Output = T>) -> Result<T, Failure> {
    let timed = async {
        let done = run.deadline.limit(work).await;
        done.ok_or_else(|| silent("no answer").because(run.deadline.expired_message()))
    };
    run.unless_cancelled(timed).await
}
