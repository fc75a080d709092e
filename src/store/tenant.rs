//! What a project has in the store, and what it takes to give and take it.
//!
//! Bucket, policy and group have one name. The policy is the group's, and whoever has keys is in the group: so the store
//! itself says who that is, and keys can be followed by others before they end.

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::{Request, Store};
use super::seal::Sealer;
use crate::failure::{Failure, Reason};
use crate::spec::Keys;

/// Projects that are looked at at once.
const AT_ONCE: usize = 8;
const ADMIN: &str = "/minio/admin/v3";

/// A project in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its bucket, and the name of its policy and group.
    pub bucket: String,
    /// What opens it.
    pub keys: Keys,
    /// The access key that opened it before, which whoever is at work still uses.
    pub former: Option<String>,
}

impl Store {
    /// Gives each its bucket, and lets its keys open that one alone; returns how many had not had that.
    ///
    /// # Errors
    /// [`Reason::ProjectStorage`], with the store's own words.
    pub async fn admit(&self, tenants: &[Tenant]) -> Result<usize, Failure> {
        let looks = tenants.iter().map(async |tenant| {
            let head = Request::new(Method::HEAD, format!("/{}", tenant.bucket), &[]);
            Ok::<_, Failure>((tenant, self.send(&head, &tenant.keys).await?.status.is_success()))
        });
        let seen: Vec<_> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        let missing: Vec<_> = seen.into_iter().filter(|(_, opens)| !opens).map(|(tenant, _)| tenant).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        let password = self.root.secret_key.clone();
        let sealer = tokio::task::spawn_blocking(move || Sealer::new(&password)).await;
        let unsealed = |error: &dyn std::error::Error| {
            Failure::new(Reason::Internal, "cannot make keys for a project").because(error)
        };
        let sealer = &sealer.map_err(|error| unsealed(&error))?.map_err(|error| unsealed(&error))?;
        let count = missing.len();
        // One after another: each body that it decrypts costs the store 64 MiB, and its pod has 512.
        for tenant in missing {
            let admitted = self.admit_one(tenant, sealer).await;
            admitted.map_err(|failure| failure.on(format!("bucket {}", tenant.bucket)))?;
        }
        Ok(count)
    }

    async fn admit_one(&self, tenant: &Tenant, sealer: &Sealer) -> Result<(), Failure> {
        let Tenant { bucket, keys, former } = tenant;
        let made = self.send(&Request::new(Method::PUT, format!("/{bucket}"), &[]), &self.root).await?;
        if !made.status.is_success() && !made.body.contains("BucketAlreadyOwnedByYou") {
            return Err(made.failure());
        }
        self.put("add-canned-policy", &[("name", bucket)], policy(bucket)).await?;
        let user = json!({"secretKey": keys.secret_key.expose(), "status": "enabled"}).to_string();
        let user = sealer.seal(user.as_bytes());
        let user =
            user.map_err(|error| Failure::new(Reason::Internal, "cannot make keys for a project").because(error))?;
        self.put("add-user", &[("accessKey", &keys.access_key)], user).await?;
        let member = json!({"group": bucket, "members": [keys.access_key], "isRemove": false}).to_string();
        self.put("update-group-members", &[], member.into_bytes()).await?;
        let attached = [("isGroup", "true"), ("policyName", bucket), ("userOrGroup", bucket)];
        self.put("set-user-or-group-policy", &attached, Vec::new()).await?;

        let stale = self.members(bucket).await?.into_iter();
        for member in stale.filter(|member| *member != keys.access_key && former.as_ref() != Some(member)) {
            self.remove_user(&member).await?;
        }
        let head = self.send(&Request::new(Method::HEAD, format!("/{bucket}"), &[]), keys).await?;
        if head.status.is_success() { Ok(()) } else { Err(head.failure()) }
    }

    /// Takes from each project that is none of `kept` what it had: its keys, and its bucket with all that is in it.
    /// Buckets that no group is named for are not touched. Returns how many there were.
    ///
    /// # Errors
    /// As [`Store::admit`].
    pub async fn dismiss(&self, prefix: &str, kept: &[String]) -> Result<usize, Failure> {
        let groups = self.must(&Request::new(Method::GET, format!("{ADMIN}/groups"), &[])).await?;
        let all: Option<Vec<String>> = serde_json::from_str(&groups.body).map_err(|_| groups.failure())?;
        let leaving = all.into_iter().flatten().filter(|group| group.starts_with(prefix) && !kept.contains(group));
        let leaving: Vec<_> = leaving.collect();
        for bucket in &leaving {
            self.dismiss_one(bucket).await.map_err(|failure| failure.on(format!("bucket {bucket}")))?;
        }
        Ok(leaving.len())
    }

    /// The group goes last: where this ends early, it is what the next run finds.
    async fn dismiss_one(&self, bucket: &str) -> Result<(), Failure> {
        for member in self.members(bucket).await? {
            self.remove_user(&member).await?;
        }
        let mut delete = Request::new(Method::DELETE, format!("/{bucket}"), &[]);
        delete.header = Some(("x-minio-force-delete", "true"));
        self.ask(&delete).await?;
        let empty = json!({"group": bucket, "members": [], "isRemove": true}).to_string().into_bytes();
        let group = Request::new(Method::PUT, format!("{ADMIN}/update-group-members"), &[]);
        self.ask(&Request { body: empty, ..group }).await?;
        self.ask(&Request::new(Method::DELETE, format!("{ADMIN}/remove-canned-policy"), &[("name", bucket)])).await?;
        Ok(())
    }

    async fn put(&self, call: &str, query: &[(&str, &str)], body: Vec<u8>) -> Result<(), Failure> {
        let request = Request::new(Method::PUT, format!("{ADMIN}/{call}"), query);
        self.must(&Request { body, ..request }).await.map(|_| ())
    }

    async fn members(&self, group: &str) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct Group {
            #[serde(default)]
            members: Option<Vec<String>>,
        }
        let found = self.ask(&Request::new(Method::GET, format!("{ADMIN}/group"), &[("group", group)])).await?;
        let Some(found) = found else { return Ok(Vec::new()) };
        let described: Group = serde_json::from_str(&found.body).map_err(|_| found.failure())?;
        Ok(described.members.unwrap_or_default())
    }

    async fn remove_user(&self, user: &str) -> Result<(), Failure> {
        self.ask(&Request::new(Method::DELETE, format!("{ADMIN}/remove-user"), &[("accessKey", user)])).await?;
        Ok(())
    }
}

/// What propellers and the `aws` of a task do, in one bucket.
fn policy(bucket: &str) -> Vec<u8> {
    let within = json!(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]);
    let objects = json!([
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts"
    ]);
    let of = |actions, resource: String| json!({"Effect": "Allow", "Action": actions, "Resource": [resource]});
    let statements = [of(within, format!("arn:aws:s3:::{bucket}")), of(objects, format!("arn:aws:s3:::{bucket}/*"))];
    json!({"Version": "2012-10-17", "Statement": statements}).to_string().into_bytes()
}
