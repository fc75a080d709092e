//! Buckets, emptied.

use reqwest::Method;

use super::client::{BucketAdmin, Request};
use crate::failure::Failure;

impl BucketAdmin {
    /// Deletes a bucket with all its objects, whoever has made it; its users and policy stay. Whether it was there.
    ///
    /// # Errors
    /// [`Reason::ProjectStorage`](crate::failure::Reason::ProjectStorage), with Minio's own error.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<bool, Failure> {
        let mut delete = Request::new(Method::DELETE, format!("/{bucket}"), &[]);
        delete.header = Some(("x-minio-force-delete", "true"));
        Ok(self.ask(&delete).await?.is_some())
    }

    /// Makes a bucket anew: its objects, its versions and what was configured for it are gone, in as many requests for a
    /// million objects as for one. Its users and policy stay.
    ///
    /// # Errors
    /// As [`BucketAdmin::delete_bucket`].
    pub async fn empty_bucket(&self, bucket: &str) -> Result<(), Failure> {
        self.delete_bucket(bucket).await?;
        self.make_bucket(bucket).await
    }
}
