//! Somebody else who issues the projects' keys, played by a file, a shell and a server.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use flyte_sandbox::failure::{Failure, Reason};
use flyte_sandbox::issuer::issue;
use flyte_sandbox::release::Release;
use flyte_sandbox::report::Reporter;
use flyte_sandbox::run::{Deadline, Run};
use flyte_sandbox::spec::{CredentialSource, Keys, Secret, Spec};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SECRET: &str = "hush-hush-of-x";
const MINUTE: Duration = Duration::from_secs(60);

fn spec(source: CredentialSource) -> Spec {
    let mut spec = Spec { projects: vec!["x".to_owned()], ..Spec::default() };
    spec.storage.credentials = Some(source);
    spec
}

fn run(budget: Duration) -> Run {
    let (report, _) = Reporter::channel();
    Run { report, deadline: Deadline::after(budget), cancel: CancellationToken::new() }
}

async fn ask(spec: &Spec) -> Result<BTreeMap<String, Keys>, Failure> {
    let variables = std::env::vars().filter(|(name, _)| name == "PATH").collect();
    issue(spec, MINUTE, &variables, &run(MINUTE)).await
}

fn shell(script: &str) -> CredentialSource {
    let words = ["sh", "-c", script, "{project}", "{bucket}"];
    CredentialSource::Command(words.map(str::to_owned).into())
}

/// A server of keys: for each project its own, and for some something else.
async fn server() -> String {
    let keys = get(async |Query(asked): Query<BTreeMap<String, String>>| {
        let (project, bucket) = (asked["project"].as_str(), asked["bucket"].as_str());
        let keys = |ends: &str| json!({"accessKey": format!("for-{bucket}"), "secretKey": SECRET, "expiresAt": ends});
        match project {
            "x" => (StatusCode::OK, keys("2126-01-01T00:00:00Z").to_string()),
            "ended" => (StatusCode::OK, keys("2013-05-24T00:00:00Z").to_string()),
            "root" => (StatusCode::OK, json!({"accessKey": "minio", "secretKey": SECRET}).to_string()),
            "admin" => (StatusCode::OK, json!({"accessKey": "flyteadmin", "secretKey": SECRET}).to_string()),
            "strange" => (StatusCode::OK, format!("<html>{SECRET}</html>")),
            _ => (StatusCode::FORBIDDEN, SECRET.to_owned()),
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/keys?project={{project}}&bucket={{bucket}}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/keys", keys)).await });
    url
}

#[tokio::test]
async fn each_kind_of_source_is_asked_for_a_project_and_its_bucket() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = json!({"accessKey": "for-my-s3-bucket-x", "secretKey": SECRET, "expiresAt": "2126-01-01T00:00:00Z"});
    std::fs::write(folder.path().join("x.json"), text.to_string()).expect("written");
    let file = CredentialSource::File(format!("{}/{{project}}.json", folder.path().display()));
    let printed = format!(
        "printf '{{\"accessKey\": \"for-%s\",\"secretKey\": \"{SECRET}\",\n\"expiresAt\": \"2126-01-01T00:00:00Z\"}}' $1"
    );
    let wanted = Keys {
        access_key: "for-my-s3-bucket-x".to_owned(),
        secret_key: Secret::new(SECRET),
        expires_at: Some(4_922_899_200),
    };
    for source in [file, shell(&printed), CredentialSource::Url(server().await)] {
        let issued = ask(&spec(source.clone())).await.expect("keys");
        assert_eq!(issued, BTreeMap::from([("x".to_owned(), wanted.clone())]), "{source:?}");
    }
}

#[tokio::test]
async fn only_keys_that_end_soon_are_asked_for() {
    let mut spec = spec(CredentialSource::Url(server().await));
    let issued = ask(&spec).await.expect("keys");
    spec.storage.issued = issued.clone();
    assert_eq!(ask(&spec).await.expect("nothing to ask"), BTreeMap::new());
    spec.storage.issued.get_mut("x").expect("keys").expires_at = Some(1);
    assert_eq!(ask(&spec).await.expect("keys"), issued);
    spec.storage.credentials = None;
    assert_eq!(ask(&spec).await.expect("nobody to ask"), BTreeMap::new());
}

#[tokio::test]
async fn what_goes_wrong_has_a_reason_and_shows_no_secret() {
    let url = server().await;
    let of = |project: &str| Spec { projects: vec![project.to_owned()], ..spec(CredentialSource::Url(url.clone())) };
    let table = [
        (of("ended"), Reason::CredentialsEnded, "they end 2013-05-24T00:00:00Z"),
        (of("root"), Reason::CredentialSource, "gives the store's own"),
        (
            Spec { flyte: Release::of("1.16").expect("a release"), ..of("admin") },
            Reason::CredentialSource,
            "gives the store's own",
        ),
        (of("strange"), Reason::CredentialSource, "it is no JSON object: line 1 column 1"),
        (of("nobody"), Reason::CredentialSource, "HTTP 403 Forbidden"),
        (spec(CredentialSource::Url("http://127.0.0.1:1/{project}".to_owned())), Reason::CredentialSource, "refused"),
        (spec(CredentialSource::File("/nowhere/{project}".to_owned())), Reason::CredentialSource, "No such file"),
        (
            spec(CredentialSource::Command(vec!["/nowhere/{project}".to_owned()])),
            Reason::CredentialSource,
            "No such file",
        ),
        (spec(shell(&format!("echo {SECRET}; echo out of keys >&2; exit 3"))), Reason::CredentialSource, "out of keys"),
        (
            spec(shell(&format!("echo '{{\"accessKey\": \"{SECRET}\"'"))),
            Reason::CredentialSource,
            "it is no JSON object",
        ),
    ];
    for (spec, reason, words) in table {
        let failure = ask(&spec).await.expect_err("no keys");
        let told = format!("{failure:?}");
        assert_eq!(failure.reason, reason, "{told}");
        assert!(told.contains(words) && failure.object.is_some(), "{told}");
        let stands_in_the_spec = matches!(&spec.storage.credentials, Some(CredentialSource::Command(_)));
        assert!(stands_in_the_spec || !told.contains(SECRET), "{told}");
        assert!(failure.evidence.iter().all(|line| !line.contains(SECRET)), "{told}");
    }
}

#[tokio::test]
async fn a_program_is_not_waited_for_without_an_end_and_nobody_hears_what_it_says() {
    let spec = spec(shell("echo \"hush-$((40 + 2))\" && exec sleep 60"));
    let run = run(Duration::from_millis(300));
    let variables = std::env::vars().filter(|(name, _)| name == "PATH").collect();
    let failure = issue(&spec, MINUTE, &variables, &run).await.expect_err("it does not end");
    assert_eq!(failure.reason, Reason::CredentialSource);
    assert!(failure.what.starts_with("timed out:"), "{failure:?}");
    let heard = format!("{failure:?} {:?} {:?}", run.report.history(), run.report.output_log());
    assert!(!heard.contains("hush-42"), "{heard}");
}
