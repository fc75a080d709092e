//! What a project has in the object store, against a Minio in memory.

use std::time::Duration;

use flyte_sandbox::failure::Reason;
use flyte_sandbox::run::Deadline;
use flyte_sandbox::spec::{Keys, Secret};
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
    Tenant { bucket: format!("data-{project}"), keys: keys(&format!("data-{project}")), previous_access_key: None }
}

/// What a bucket answers to whoever has these keys.
async fn look(minio: &FakeMinio, bucket: &str, access_key: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}/{bucket}", minio.port);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let signed = format!("AWS4-HMAC-SHA256 Credential={access_key}/20130524/us-east-1/s3/aws4_request");
    let request = client.request(Method::HEAD, url).header(reqwest::header::AUTHORIZATION, signed);
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
