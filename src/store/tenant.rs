//! The storage of a project in Minio: its bucket, user, group and policy. A program with keys of its own is the same.
//!
//! A project's bucket, policy and group have one name. The policy is the group's, and all access keys of the project are
//! its members: so Minio itself lists them, and new keys can replace old ones before these expire.

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{BucketAdmin, Reply, Request};
use super::seal::Sealer;
use crate::failure::{Failure, Reason};
use crate::spec::{Grant, Keys};

/// Projects that are checked at once.
const AT_ONCE: usize = 8;
const ADMIN: &str = "/minio/admin/v3";

/// A user of Minio: a project, or a program with keys of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The name of its policy and group; of a project, that of its bucket.
    pub name: String,
    /// What its keys open, the bucket that is made for it first.
    pub grants: Vec<Grant>,
    /// Its keys.
    pub keys: Keys,
    /// The access key before, which running pods may still use.
    pub previous_access_key: Option<String>,
}

impl BucketAdmin {
    /// Creates each tenant's bucket, and lets its keys open what it is granted; returns the number of tenants that lacked
    /// that.
    ///
    /// # Errors
    /// [`Reason::ProjectStorage`], with Minio's own error.
    pub async fn ensure_tenants(&self, tenants: &[Tenant]) -> Result<usize, Failure> {
        let missing = self.lacking(tenants).await?;
        if missing.is_empty() {
            return Ok(0);
        }
        let password = self.root.secret_key.clone();
        let sealer = tokio::task::spawn_blocking(move || Sealer::new(&password)).await;
        let cannot_encrypt = |error: &dyn std::error::Error| {
            Failure::new(Reason::Internal, "cannot make keys for a project").because(error)
        };
        let sealer = &sealer.map_err(|error| cannot_encrypt(&error))?.map_err(|error| cannot_encrypt(&error))?;
        let count = missing.len();
        // One after another: each body that it decrypts costs the store 64 MiB, and its pod has 512.
        for tenant in missing {
            let ensured = self.ensure_one(tenant, sealer).await;
            ensured.map_err(|failure| failure.on(format!("bucket {}", tenant.bucket())))?;
        }
        Ok(count)
    }

    /// The tenants whose bucket does not exist, or is not opened by their keys.
    ///
    /// # Errors
    /// [`Reason::ProjectStorage`]: Minio does not answer.
    pub async fn lacking<'a>(&self, tenants: &'a [Tenant]) -> Result<Vec<&'a Tenant>, Failure> {
        let looks =
            tenants.iter().map(async |tenant| Ok::<_, Failure>((tenant, self.look(tenant).await?.status.is_success())));
        let seen: Vec<_> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        Ok(seen.into_iter().filter(|(_, opens)| !opens).map(|(tenant, _)| tenant).collect())
    }

    /// Creates a bucket of the store's own keys, unless it exists; whether it did not.
    ///
    /// # Errors
    /// As [`BucketAdmin::ensure_tenants`].
    pub async fn ensure_bucket(&self, bucket: &str) -> Result<bool, Failure> {
        if self.has_bucket(bucket).await? {
            return Ok(false);
        }
        self.make_bucket(bucket).await.map_err(|failure| failure.on(format!("bucket {bucket}")))?;
        Ok(true)
    }

    /// Creates a bucket, unless it exists.
    pub(super) async fn make_bucket(&self, bucket: &str) -> Result<(), Failure> {
        let made = self.send(&Request::new(Method::PUT, format!("/{bucket}"), &[]), &self.root).await?;
        let exists = made.status.is_success() || made.body.contains("BucketAlreadyOwnedByYou");
        if exists { Ok(()) } else { Err(made.failure()) }
    }

    /// Whether a bucket is there, for the store's own keys.
    ///
    /// # Errors
    /// As [`BucketAdmin::lacking`].
    pub async fn has_bucket(&self, bucket: &str) -> Result<bool, Failure> {
        let head = Request::new(Method::HEAD, format!("/{bucket}"), &[]);
        Ok(self.send(&head, &self.root).await?.status.is_success())
    }

    /// A tenant's look at its own bucket, or at its part of it.
    async fn look(&self, tenant: &Tenant) -> Result<Reply, Failure> {
        let prefix = tenant.grants.first().map_or("", |own| own.prefix.as_str());
        let query = [("prefix", prefix)];
        let query = if prefix.is_empty() { &[][..] } else { &query };
        self.send(&Request::new(Method::HEAD, format!("/{}", tenant.bucket()), query), &tenant.keys).await
    }

    async fn ensure_one(&self, tenant: &Tenant, sealer: &Sealer) -> Result<(), Failure> {
        let Tenant { name, grants, keys, previous_access_key } = tenant;
        self.make_bucket(tenant.bucket()).await?;
        self.put("add-canned-policy", &[("name", name)], policy(grants)).await?;
        let user = json!({"secretKey": keys.secret_key.expose(), "status": "enabled"}).to_string();
        let user = sealer.seal(user.as_bytes());
        let user =
            user.map_err(|error| Failure::new(Reason::Internal, "cannot make keys for a project").because(error))?;
        self.put("add-user", &[("accessKey", &keys.access_key)], user).await?;
        let member = json!({"group": name, "members": [keys.access_key], "isRemove": false}).to_string();
        self.put("update-group-members", &[], member.into_bytes()).await?;
        let attached = [("isGroup", "true"), ("policyName", name), ("userOrGroup", name)];
        self.put("set-user-or-group-policy", &attached, Vec::new()).await?;

        let stale = self.members(name).await?.into_iter();
        for member in stale.filter(|member| *member != keys.access_key && previous_access_key.as_ref() != Some(member))
        {
            self.remove_user(&member).await?;
        }
        let head = self.look(tenant).await?;
        if head.status.is_success() { Ok(()) } else { Err(head.failure()) }
    }

    /// Deletes the storage of these buckets' projects: keys, and bucket with all objects. A bucket without a group of its
    /// name stays. Returns the number of deleted ones.
    ///
    /// # Errors
    /// As [`BucketAdmin::ensure_tenants`].
    pub async fn deprovision(&self, buckets: &[String]) -> Result<usize, Failure> {
        let groups = self.require(&Request::new(Method::GET, format!("{ADMIN}/groups"), &[])).await?;
        let all: Option<Vec<String>> = serde_json::from_str(&groups.body).map_err(|_| groups.failure())?;
        let leaving: Vec<_> = all.into_iter().flatten().filter(|group| buckets.contains(group)).collect();
        for bucket in &leaving {
            self.deprovision_one(bucket).await.map_err(|failure| failure.on(format!("bucket {bucket}")))?;
        }
        Ok(leaving.len())
    }

    /// Deletes one tenant, its group last: the next run finds what an interrupted one left by the group.
    async fn deprovision_one(&self, bucket: &str) -> Result<(), Failure> {
        for member in self.members(bucket).await? {
            self.remove_user(&member).await?;
        }
        self.delete_bucket(bucket).await?;
        let empty = json!({"group": bucket, "members": [], "isRemove": true}).to_string().into_bytes();
        let group = Request::new(Method::PUT, format!("{ADMIN}/update-group-members"), &[]);
        self.ask(&Request { body: empty, ..group }).await?;
        self.ask(&Request::new(Method::DELETE, format!("{ADMIN}/remove-canned-policy"), &[("name", bucket)])).await?;
        Ok(())
    }

    async fn put(&self, call: &str, query: &[(&str, &str)], body: Vec<u8>) -> Result<(), Failure> {
        let request = Request::new(Method::PUT, format!("{ADMIN}/{call}"), query);
        self.require(&Request { body, ..request }).await.map(|_| ())
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

impl Tenant {
    /// The bucket that is made for it.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.grants.first().map_or("", |own| own.bucket.as_str())
    }
}

/// The policy of these grants, with the actions of propellers and of `aws` in a task.
fn policy(grants: &[Grant]) -> Vec<u8> {
    let statements: Vec<_> = grants.iter().flat_map(statements).collect();
    json!({"Version": "2012-10-17", "Statement": statements}).to_string().into_bytes()
}

fn statements(Grant { bucket, prefix, writes }: &Grant) -> Vec<Value> {
    const LIST: [&str; 3] = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"];
    const OBJECTS: [&str; 5] =
        ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];
    let of = |actions: &[&str], resource: String| json!({"Effect": "Allow", "Action": actions, "Resource": [resource]});
    let arn = format!("arn:aws:s3:::{bucket}");
    let objects = if *writes { &OBJECTS[..] } else { &OBJECTS[..1] };
    let objects = of(objects, format!("{arn}/{prefix}*"));
    if prefix.is_empty() {
        return vec![of(if *writes { &LIST } else { &LIST[..2] }, arn), objects];
    }
    // Without the prefix in the condition all names of the bucket could be listed.
    let mut listed = of(&LIST[1..2], arn.clone());
    listed["Condition"] = json!({"StringLike": {"s3:prefix": [format!("{prefix}*")]}});
    vec![of(&LIST[..1], arn), listed, objects]
}
