//! The routes, on a free port of 127.0.0.1.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::follow::{are_names, follow};
use super::guard::{guarded, page, refusal, words};
use super::live::Live;
use super::token::Token;
use super::view::{LogPage, MachinePage, Parts};
use crate::failure::{Failure, Reason};
use crate::page::Page;
use crate::run::on_thread;
use crate::runs::{Folder, Recorded};
use crate::site::Host;

/// Logs that are followed at a time: a browser makes six connections to a host, and the page needs one.
const FOLLOWED: usize = 4;

/// The page of this machine, on a port of its own.
pub struct Ui {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    live: Live,
    token: Token,
    port: u16,
    followed: Arc<Semaphore>,
}

impl Ui {
    /// Takes a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`Reason::PortTaken`]: there is none, or no secret for the URL.
    pub async fn bind(host: Host) -> Result<Self, Failure> {
        let bound = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let (port, token) = (listener.local_addr()?.port(), Token::new()?);
            let shared = Shared { live: Live::new(host), token, port, followed: Arc::new(Semaphore::new(FOLLOWED)) };
            Ok(Self { listener, shared: Arc::new(shared) })
        };
        bound.await.map_err(|error: io::Error| {
            Failure::new(Reason::PortTaken, "cannot serve the page").on("a free port of 127.0.0.1").because(error)
        })
    }

    /// Where it is: who has this URL may read.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.shared.port, self.shared.token.as_str())
    }

    /// Serves it, until the future is dropped.
    ///
    /// # Errors
    /// The listener's own.
    pub async fn serve(self) -> Result<(), Failure> {
        let Self { listener, shared } = self;
        let asking = Arc::clone(&shared);
        let routes = Router::new()
            .route("/{token}/", get(machine))
            .route("/{token}/parts", get(parts))
            .route("/{token}/logs/{sandbox}/{name}", get(log))
            .route("/{token}/follow/{sandbox}/{name}", get(followed))
            .route("/{token}/runs/{id}", get(run))
            .fallback(|| async { words(StatusCode::NOT_FOUND, "there is no such page") })
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
            .with_state(shared);
        let failed = |error: io::Error| Failure::new(Reason::Internal, "cannot serve the page").because(error);
        tokio::select! {
            () = asking.live.ask() => Ok(()),
            served = async { axum::serve(listener, routes).await } => served.map_err(failed),
        }
    }
}

async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let refusal = refusal(request.method(), path, headers, shared.port, &shared.token);
    guarded(match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    })
}

async fn machine(State(shared): State<Arc<Shared>>) -> Response {
    let Ok(nonce) = Token::new() else { return unmade("no random bytes") };
    let html = shared.live.look(|known| MachinePage::of(known, nonce.as_str().to_owned()).render()).await;
    with_script(html, &nonce)
}

/// What of the page changes, for its script.
async fn parts(State(shared): State<Arc<Shared>>) -> Response {
    let html = shared.live.look(|known| Parts::of(known).render()).await;
    html.map_or_else(|error| unmade(&error.to_string()), |html| page(html, "style-src 'none'"))
}

async fn log(Path((_, sandbox, name)): Path<(String, String, String)>) -> Response {
    if !are_names(&sandbox, &name) {
        return words(StatusCode::NOT_FOUND, "there is no such log");
    }
    let Ok(nonce) = Token::new() else { return unmade("no random bytes") };
    with_script(LogPage { sandbox, name, nonce: nonce.as_str().to_owned() }.render(), &nonce)
}

async fn followed(
    State(shared): State<Arc<Shared>>,
    Path((_, sandbox, name)): Path<(String, String, String)>,
) -> Response {
    let Ok(permit) = Arc::clone(&shared.followed).try_acquire_owned() else {
        let full = format!("{FOLLOWED} logs are followed already: close the page of one, and load this one again");
        return words(StatusCode::SERVICE_UNAVAILABLE, full);
    };
    follow(shared.live.host().clone(), sandbox, name, permit).await
}

/// The page of a recorded run. It has no script; its style has no nonce, since it is a file elsewhere.
async fn run(State(shared): State<Arc<Shared>>, Path((_, id)): Path<(String, String)>) -> Response {
    let folder = Folder::of(shared.live.host().state.path());
    let made = on_thread(move || {
        let entry = folder.entries().into_iter().find(|entry| entry.id == id)?;
        let read = Recorded::read(&entry.path).map_err(|error| error.to_string());
        Some(read.and_then(|Recorded { began, events, unread }| {
            Page::of(began, &events, unread).html().map_err(|error| error.to_string())
        }))
    });
    match made.await {
        Ok(Some(Ok(html))) => page(html, "style-src 'unsafe-inline'"),
        Ok(Some(Err(why))) => unmade(&why),
        Ok(None) => words(StatusCode::NOT_FOUND, "there is no such run any more; the last 50 are kept"),
        Err(failure) => unmade(&failure.to_string()),
    }
}

fn with_script(html: Result<String, askama::Error>, nonce: &Token) -> Response {
    let nonce = nonce.as_str();
    let sources = format!("style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'");
    html.map_or_else(|error| unmade(&error.to_string()), |html| page(html, &sources))
}

fn unmade(why: &str) -> Response {
    words(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot make the page: {why}"))
}
