//! What a project has in the object store, against a Minio in memory.

use std::time::Duration;

use flyte_sandbox::failure::Reason;
use flyte_sandbox::run::Deadline;
use flyte_sandbox::spec::{Grant, Keys, Secret};
use flyte_sandbox::store::{BucketAdmin, Tenant};
use reqwest::Method;

use crate::support::minio::FakeMinio;

fn keys(access_key: &str) -> Keys {
    Keys { access_key: access_key.to_owned(), secret_key: Secret::new("of-somebody"), expires_at: None }
}

fn store(minio: &FakeMinio) -> BucketAdmin {
    BucketAdmin::new(minio.port, keys("minio"), Deadline::after(Duration::from_secs(30))).expect("a client")
}

fn tenant(project: &str) -> Tenant {
    let name = format!("data-{project}");
    Tenant { grants: vec![grant(&name, "", true)], keys: keys(&name), name, previous_access_key: None }
}

fn grant(bucket: &str, prefix: &str, writes: bool) -> Grant {
    Grant { bucket: bucket.to_owned(), prefix: prefix.to_owned(), writes }
}

/// What a bucket answers to whoever has these keys.
async fn look(minio: &FakeMinio, bucket: &str, access_key: &str) -> u16 {
    ask(minio, Method::HEAD, bucket, access_key).await
}

async fn ask(minio: &FakeMinio, method: Method, path: &str, access_key: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}/{path}", minio.port);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let signed = format!("AWS4-HMAC-SHA256 Credential={access_key}/20130524/us-east-1/s3/aws4_request");
    let request = client.request(method, url).header(reqwest::header::AUTHORIZATION, signed);
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn each_projects_keys_open_its_own_bucket_alone() {
    let minio = FakeMinio::start().await;
    assert_eq!(store(&minio).ensure_tenants(&[tenant("x"), tenant("y")]).await.expect("made"), 2);
    assert_eq!((look(&minio, "data-x", "data-x").await, look(&minio, "data-y", "data-y").await), (200, 200));
    assert_eq!((look(&minio, "data-y", "data-x").await, look(&minio, "data-x", "data-y").await), (403, 403));
    let before = minio.kept().asked.len();
    assert_eq!(store(&minio).ensure_tenants(&[tenant("x"), tenant("y")]).await.expect("as it is"), 0);
    assert_eq!(minio.kept().asked.len() - before, 2, "one look for each");
}

#[tokio::test]
async fn a_part_of_anothers_bucket_is_read_by_its_own_project_alone_and_written_by_none() {
    let minio = FakeMinio::start().await;
    let reads = |project: &str| {
        let mut tenant = tenant(project);
        tenant.grants.push(grant("data", &format!("uploads/{project}/"), false));
        tenant
    };
    let admin = Tenant {
        name: "flyteadmin".to_owned(),
        grants: vec![grant("data", "", true), grant("data-*", "", false)],
        keys: keys("flyteadmin"),
        previous_access_key: None,
    };
    let catalog = Tenant {
        name: "datacatalog".to_owned(),
        grants: vec![grant("data", "metadata/datacatalog/", true)],
        keys: keys("datacatalog"),
        previous_access_key: None,
    };
    let all = [reads("x"), reads("x-y"), admin, catalog];
    assert_eq!(store(&minio).ensure_tenants(&all).await.expect("made"), 4);
    assert_eq!(store(&minio).ensure_tenants(&all).await.expect("as it is"), 0);
    for (who, method, path, status) in [
        ("data-x", Method::GET, "data/uploads/x/d-dev/code.tar.gz", 200),
        ("data-x", Method::HEAD, "data?prefix=uploads%2Fx%2Fd-dev", 200),
        ("data-x", Method::PUT, "data/uploads/x/d-dev/code.tar.gz", 403),
        ("data-x", Method::GET, "data/uploads/x-y/d-dev/code.tar.gz", 403),
        ("data-x-y", Method::GET, "data/uploads/x/d-dev/code.tar.gz", 403),
        ("data-x", Method::HEAD, "data?prefix=uploads%2Fx-y%2F", 403),
        ("data-x", Method::HEAD, "data", 403),
        ("data-x", Method::GET, "data/metadata/admin/closure", 403),
        ("flyteadmin", Method::PUT, "data/uploads/x/d-dev/code.tar.gz", 200),
        ("flyteadmin", Method::GET, "data-x/outputs.pb", 200),
        ("flyteadmin", Method::PUT, "data-x/outputs.pb", 403),
        ("datacatalog", Method::PUT, "data/metadata/datacatalog/x", 200),
        ("datacatalog", Method::GET, "data/metadata/admin/closure", 403),
        ("datacatalog", Method::GET, "data-x/outputs.pb", 403),
    ] {
        assert_eq!(ask(&minio, method.clone(), path, who).await, status, "{who}: {method} {path}");
    }
    store(&minio).deprovision(&["data-x".to_owned()]).await.expect("gone");
    assert_eq!(Vec::from_iter(&minio.kept().users), ["data-x-y", "datacatalog", "flyteadmin"]);
}

#[tokio::test]
async fn who_leaves_takes_everything_along_and_nothing_of_others() {
    let minio = FakeMinio::start().await;
    minio.kept().buckets.insert("data-of-the-users-own".to_owned());
    store(&minio).ensure_tenants(&[tenant("x"), tenant("y")]).await.expect("made");
    assert_eq!(store(&minio).deprovision(&["data-y".to_owned()]).await.expect("gone"), 1);
    assert_eq!(look(&minio, "data-y", "data-y").await, 403);
    {
        let kept = minio.kept();
        assert_eq!(Vec::from_iter(&kept.buckets), ["data-of-the-users-own", "data-x"]);
        assert_eq!(Vec::from_iter(&kept.users), ["data-x"]);
        assert_eq!(Vec::from_iter(kept.policies.keys()), ["data-x"]);
    }
    assert_eq!(store(&minio).deprovision(&["data-y".to_owned()]).await.expect("nothing to do"), 0);
}

#[tokio::test]
async fn what_opened_it_before_goes_on_to_until_the_keys_after_the_next() {
    let minio = FakeMinio::start().await;
    let issued = |access: &str, previous_access_key: Option<&str>| Tenant {
        keys: keys(access),
        previous_access_key: previous_access_key.map(str::to_owned),
        ..tenant("x")
    };
    for (now, previous_access_key, open) in [
        ("first", None, vec!["first"]),
        ("second", Some("first"), vec!["first", "second"]),
        ("third", Some("second"), vec!["second", "third"]),
    ] {
        store(&minio).ensure_tenants(&[issued(now, previous_access_key)]).await.expect("made");
        assert_eq!(Vec::from_iter(&minio.kept().users), open, "{now}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_asked_again_and_one_that_refuses_is_not() {
    let minio = FakeMinio::start().await;
    minio.kept().busy = 2;
    assert_eq!(store(&minio).ensure_tenants(&[tenant("x")]).await.expect("in the end"), 1);
    let strange =
        BucketAdmin::new(minio.port, keys("strange"), Deadline::after(Duration::from_secs(30))).expect("a client");
    let refused = strange.ensure_tenants(&[tenant("z")]).await.expect_err("not root");
    assert_eq!((refused.reason, refused.object.as_deref()), (Reason::ProjectStorage, Some("bucket data-z")));
    assert!(refused.evidence.iter().any(|line| line.contains("InvalidAccessKeyId")), "{refused:?}");
}

#[tokio::test]
async fn who_answers_in_the_stores_place_is_asked_no_more_than_that() {
    let minio = FakeMinio::start().await;
    minio.kept().strangers = 2;
    assert_eq!(store(&minio).ensure_tenants(&[tenant("x")]).await.expect("made in the end"), 1);
    minio.kept().strangers = usize::MAX;
    let soon = Deadline::after(Duration::from_millis(300));
    let hurried = BucketAdmin::new(minio.port, keys("minio"), soon).expect("a client");
    let failure = hurried.ensure_tenants(&[tenant("y")]).await.expect_err("nobody but strangers");
    assert!(failure.causes.iter().any(|cause| cause == "the answer is not Minio's"), "{failure:?}");
}
