//! Keys that somebody else issues, and renews.

use std::time::{Duration, SystemTime};

use flyte_sandbox::spec::{Keys, Secret};
use flyte_sandbox::store::presigned;
use serde_json::{Value, json};

use super::Scenario;
use crate::support::ground::{Ground, Major, Wish};
use crate::support::sandbox::Sandbox;

pub(super) const SCENARIOS: &[Scenario] =
    &[("keys_that_are_renewed_open_what_they_should_until_the_renewal_after_the_next", renewed)];

fn renewed() {
    let sandbox = Sandbox::new("issued", &Ground::find(Wish::Real, Major::Five));
    let spec = std::fs::read_to_string(sandbox.path("sandbox.yaml")).expect("a spec");
    sandbox.write("sandbox.yaml", format!("{spec}storage: {{credentials: {{file: \"{{project}}.json\"}}}}\n"));
    let issue = |access: &str| {
        let ends = humantime::format_rfc3339_seconds(SystemTime::now() + Duration::from_secs(1200)).to_string();
        sandbox
            .write("x.json", json!({"accessKey": access, "secretKey": secret(access), "expiresAt": ends}).to_string());
    };
    let renew = |within: &str| sandbox.run(&["credentials", "renew", "--within", within]);
    let known = || -> Value {
        let told = sandbox.run(&["credentials", "--project", "x", "--output", "json"]).exits(0).out;
        serde_json::from_str(&told).expect("JSON")
    };

    issue("first");
    sandbox.up(&["--profile", "minimal", "--engine", "docker"]).exits(0);
    assert_eq!(known()["minio"]["accessKey"], "first");
    issue("second");
    renew("1m").exits(0);
    assert_eq!(known()["minio"]["accessKey"], "first", "they last for longer than a minute");

    renew("30m").exits(0).says("new keys for x");
    assert_eq!(known()["minio"]["accessKey"], "second");
    assert_eq!(["first", "second"].map(|access| opens(&sandbox, access)), [200, 200]);
    sandbox.run(&["smoke", "--full"]).exits(0).says("a workflow ran");

    issue("third");
    renew("30m").exits(0);
    assert_eq!(["first", "second", "third"].map(|access| opens(&sandbox, access)), [403, 200, 200]);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn secret(access: &str) -> String {
    format!("secret-of-{access}")
}

/// What the store answers to whoever lists project x's bucket with these keys.
fn opens(sandbox: &Sandbox, access: &str) -> u16 {
    let host = format!("127.0.0.1:{}", sandbox.ports[2]);
    let keys = Keys { access_key: access.to_owned(), secret_key: Secret::new(secret(access)), expires_at: None };
    let url = presigned("GET", &host, "/my-s3-bucket-x", &keys, Duration::from_secs(60), SystemTime::now());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async { reqwest::get(url).await.expect("an answer").status().as_u16() })
}
