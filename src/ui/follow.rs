//! A log that is followed, as it comes.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::guard::words;
use super::live::{told, within};
use crate::failure::{Failure, Reason};
use crate::kubernetes::{self, LogLine, PodSelection};
use crate::limits::UI_LOOK;
use crate::report::plain;
use crate::site::{self, Host, Running};
use crate::spec;

/// The newest lines of each container that are there already.
const TAIL: i64 = 200;
/// Lines that may be read before the browser takes them.
const READ_AHEAD: usize = 100;
/// The most characters of a line.
const LINE: usize = 10_000;

/// Whether these may be the name of a sandbox and that of a component, a pod or an execution.
pub(super) fn are_names(sandbox: &str, name: &str) -> bool {
    let in_a_name = |one: char| one.is_ascii_alphanumeric() || one == '-' || one == '.';
    spec::is_name(sandbox) && (1..=253).contains(&name.len()) && name.chars().all(in_a_name)
}

/// What `sandbox logs --follow` shows of a component, a pod or an execution, until the browser goes away. `permit` is let go
/// then.
pub(super) async fn follow(host: Host, sandbox: String, name: String, permit: OwnedSemaphorePermit) -> Response {
    if !are_names(&sandbox, &name) {
        return words(StatusCode::NOT_FOUND, "there is no such log");
    }
    let found = within(UI_LOOK, async {
        let running = site::running(&sandbox, &host).await?;
        let selection = PodSelection::named(&name, &running.client, &running.inventory).await?;
        let streaming = kubernetes::streaming_client(&running.kubeconfig)?;
        Ok((running, selection, streaming))
    });
    let (running, selection, streaming) = match found.await {
        Ok(found) => found,
        Err(failure) if failure.reason == Reason::NotFound => return words(StatusCode::NOT_FOUND, told(&failure)),
        Err(failure) => return words(StatusCode::SERVICE_UNAVAILABLE, told(&failure)),
    };
    let (sender, lines) = mpsc::channel(READ_AHEAD);
    tokio::spawn(async move {
        let Running { client, .. } = &running;
        let is_there = || async { site::running(&sandbox, &host).await.map(|_| ()) };
        let followed = kubernetes::follow(client, &streaming, &selection, TAIL, &sender, is_there).await;
        let _ = sender.send(LogLine { label: String::new(), text: end(&followed) }).await;
        drop(permit);
    });
    let text = stream::unfold((lines, name), |(mut lines, name)| async {
        let mut came = Vec::new();
        if lines.recv_many(&mut came, READ_AHEAD).await == 0 {
            return None;
        }
        let text: String = came.iter().map(|line| shown(line, &name)).collect();
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (lines, name)))
    });
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(text)).into_response()
}

fn end(followed: &Result<(), Failure>) -> String {
    match followed {
        Ok(()) => "(it has ended)".to_owned(),
        Err(failure) => format!("({})", told(failure)),
    }
}

/// A line as text: without what steers a terminal, and no longer than a reader reads.
fn shown(LogLine { label, text }: &LogLine, name: &str) -> String {
    let cut: String = text.chars().take(LINE).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    let text = plain(&cut).trim_end().replace('\n', "");
    match label.as_str() {
        label if label.is_empty() || label == name => format!("{text}{more}\n"),
        label => format!("{label} | {text}{more}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_text_and_no_longer_than_a_reader_reads() {
        let line = |text: &str| LogLine { label: "minio".to_owned(), text: text.to_owned() };
        assert_eq!(shown(&line("\u{1b}[31m<script>\u{0}\u{fffd}\ta\r"), "minio"), "<script>\u{fffd}\ta\n");
        assert_eq!(shown(&line("a"), "other"), "minio | a\n");
        let long = shown(&line(&"ä".repeat(1_000_000)), "minio");
        assert_eq!((long.chars().count(), long.ends_with("ä…\n")), (LINE + 2, true));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(are_names("flyte", "flytepropeller-x-d-dev"));
        for (sandbox, name) in
            [("..", "a"), ("a/b", "a"), ("", "a"), ("flyte", ""), ("flyte", "a,b"), ("flyte", "a=b/..")]
        {
            assert!(!are_names(sandbox, name), "{sandbox} {name}");
        }
        assert!(!are_names("flyte", &"a".repeat(254)));
    }
}
