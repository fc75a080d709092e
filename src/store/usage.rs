//! The size of a bucket: the number of its objects, and their bytes.

use reqwest::Method;

use super::client::{BucketAdmin, Request};
use crate::failure::Failure;

/// What is in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its objects.
    pub objects: u64,
    /// Their size in all, in bytes.
    pub bytes: u64,
}

impl BucketAdmin {
    /// The number of a bucket's objects, and their bytes; nothing where there is no such bucket. Lists all of it, a
    /// thousand objects a request.
    ///
    /// # Errors
    /// As [`BucketAdmin::ensure_tenants`].
    pub async fn usage(&self, bucket: &str) -> Result<Usage, Failure> {
        let mut usage = Usage::default();
        let mut after = None;
        loop {
            let mut query = vec![("list-type", "2")];
            if let Some(after) = &after {
                query.insert(0, ("continuation-token", String::as_str(after)));
            }
            let Some(page) = self.ask(&Request::new(Method::GET, format!("/{bucket}"), &query)).await? else {
                return Ok(usage);
            };
            usage = usage.with_page(&page.body);
            let next = texts(&page.body, "NextContinuationToken").next().map(str::to_owned);
            if next.is_none() || next == after {
                return Ok(usage);
            }
            after = next;
        }
    }
}

impl Usage {
    fn with_page(self, page: &str) -> Self {
        let contents = || texts(page, "Contents");
        let sizes = contents().filter_map(|object| texts(object, "Size").next()?.parse::<u64>().ok());
        Self { objects: self.objects + contents().count() as u64, bytes: self.bytes + sizes.sum::<u64>() }
    }
}

/// What stands within each element of this name, which has no attributes and none of its own name within it.
pub(super) fn texts<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, from) = rest.split_once(open.as_str())?;
        let (within, after) = from.split_once(close.as_str())?;
        rest = after;
        Some(within)
    })
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn a_page_is_counted() {
        // As Minio RELEASE.2020-12-16 writes it.
        let object = |key: &str, size: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-11-27T17:00:00.000Z</LastModified>\
                 <ETag>&#34;d4&#34;</ETag><Size>{size}</Size><Owner><ID></ID></Owner></Contents>"
            )
        };
        let page = |objects: &[String]| {
            format!("<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name>{}</ListBucketResult>", objects.concat())
        };
        let table = [
            (page(&[]), 0, 0),
            (page(&[object("a", "16")]), 1, 16),
            (page(&[object("&lt;Size&gt;7", "16"), object("b", "3000000000")]), 2, 3_000_000_016),
            ("<html>".to_owned(), 0, 0),
        ];
        for (text, objects, bytes) in table {
            assert_eq!(Usage::default().with_page(&text), Usage { objects, bytes }, "{text}");
        }
    }
}
