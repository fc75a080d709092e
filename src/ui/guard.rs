//! Who is answered, and what each answer tells the browser.

use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::token::Token;

/// What a page may do that has no policy of its own: nothing.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Why a request is refused, where it is. Another host's name leads here where that host answers for it with this machine's
/// address: its pages are none of ours. Nothing is said about what there is to who does not know the token.
pub(super) fn refusal(method: &Method, path: &str, headers: &HeaderMap, port: u16, token: &Token) -> Option<Response> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none());
    let ours = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    if !host.is_some_and(|host| ours.iter().any(|ours| ours == host)) {
        return Some(words(StatusCode::FORBIDDEN, "this page has the host 127.0.0.1"));
    }
    let given = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
    if !token.is(given) {
        return Some(words(StatusCode::NOT_FOUND, "there is nothing here; `sandbox ui` prints the whole URL"));
    }
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut refusal = words(StatusCode::METHOD_NOT_ALLOWED, "this page is only read");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    None
}

/// An answer with what the browser must know: to keep nothing, to tell nobody the URL, and to run nothing that is not the
/// page's own.
pub(super) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    response
}

/// A page with a policy: what it says of its scripts and styles, such as `style-src 'nonce-…'`.
pub(super) fn page(html: String, sources: &str) -> Response {
    let policy = HeaderValue::try_from(format!("{POLICY}; img-src data:; {sources}"));
    let policy = policy.unwrap_or(HeaderValue::from_static(POLICY));
    let html_type = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_SECURITY_POLICY, policy), (CONTENT_TYPE, html_type)], html).into_response()
}

/// An answer in words.
pub(super) fn words(status: StatusCode, words: impl Into<String>) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{}\n", words.into())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_by_another_name_without_the_token_or_to_change_something_is_refused() {
        let token = Token::new().expect("random");
        let (at, elsewhere) = (format!("/{}/", token.as_str()), format!("/{}x/", token.as_str()));
        let table = [
            (Method::GET, at.as_str(), "127.0.0.1:4000", None),
            (Method::HEAD, &at, "localhost:4000", None),
            (Method::GET, &at, "127.0.0.1", Some(403)),
            (Method::GET, &at, "127.0.0.1:4001", Some(403)),
            (Method::GET, &at, "localhost:4000.evil.example", Some(403)),
            (Method::GET, &at, "evil.example:4000", Some(403)),
            (Method::GET, &at, "", Some(403)),
            (Method::POST, &at, "evil.example:4000", Some(403)),
            (Method::GET, "/", "127.0.0.1:4000", Some(404)),
            (Method::GET, "", "127.0.0.1:4000", Some(404)),
            (Method::GET, &elsewhere, "127.0.0.1:4000", Some(404)),
            (Method::POST, &elsewhere, "127.0.0.1:4000", Some(404)),
            (Method::POST, &at, "127.0.0.1:4000", Some(405)),
            (Method::DELETE, &at, "localhost:4000", Some(405)),
            (Method::OPTIONS, &at, "localhost:4000", Some(405)),
        ];
        for (method, path, host, refused) in table {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).expect("a host"))]);
            let status = refusal(&method, path, &headers, 4000, &token).map(|refusal| refusal.status().as_u16());
            assert_eq!(status, refused, "{method} {path} {host}");
        }
        assert!(refusal(&Method::GET, &at, &HeaderMap::new(), 4000, &token).is_some(), "no host");
        let mut two = HeaderMap::from_iter([(HOST, HeaderValue::from_static("127.0.0.1:4000"))]);
        two.append(HOST, HeaderValue::from_static("evil.example"));
        assert!(refusal(&Method::GET, &at, &two, 4000, &token).is_some(), "two hosts");
    }

    #[test]
    fn every_answer_has_a_policy_and_a_page_its_own() {
        let policy = |response: &Response| response.headers()[CONTENT_SECURITY_POLICY].to_str().map(str::to_owned);
        let bare = guarded(words(StatusCode::OK, "a"));
        assert_eq!(policy(&bare).ok().as_deref(), Some(POLICY));
        assert_eq!(bare.headers()[CACHE_CONTROL], "no-store");
        let own = guarded(page(String::new(), "script-src 'nonce-a'"));
        assert!(policy(&own).expect("text").ends_with("script-src 'nonce-a'"));
    }
}
