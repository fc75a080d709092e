//! AWS Signature Version 4, in headers and in URLs: the admin API takes no presigned URLs (`cmd/auth-handler.go`,
//! checkAdminRequestAuthType).

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use ring::hmac::{HMAC_SHA256, Key, Tag, sign};

use crate::digest::{hex, sha256};
use crate::spec::Keys;

/// Minio's region where none is configured.
const REGION: &str = "us-east-1";

/// A request before it is signed.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    /// The host as in the header.
    pub(super) host: &'a str,
    /// The path, percent-encoded.
    pub(super) path: &'a str,
    /// The query, percent-encoded, in the order of its names.
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
}

/// The headers that sign a request, besides `host`.
pub(super) fn headers(request: &Unsigned<'_>, keys: &Keys, now: SystemTime) -> [(&'static str, String); 3] {
    let Unsigned { method, host, path, query, body } = request;
    let time = stamp(now);
    let payload = hex(&sha256(body));
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{time}\n\n{names}\n{payload}"
    );
    let signature = signature(&canonical, &time, keys);
    let credential = credential(&time, keys);
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    [("authorization", authorization), ("x-amz-content-sha256", payload), ("x-amz-date", time)]
}

/// A URL by which a method may be used on a path of the store at this host, for as many seconds, with any body. The path is
/// percent-encoded.
#[must_use]
pub fn presigned(method: &str, host: &str, path: &str, keys: &Keys, valid: Duration, now: SystemTime) -> String {
    let time = stamp(now);
    let (credential, seconds) = (encoded(&credential(&time, keys)), valid.as_secs());
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={time}&X-Amz-Expires={seconds}\
         &X-Amz-SignedHeaders=host"
    );
    let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    format!("http://{host}{path}?{query}&X-Amz-Signature={}", signature(&canonical, &time, keys))
}

/// Such as `20130524T000000Z`.
fn stamp(now: SystemTime) -> String {
    humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "")
}

fn scope(time: &str) -> String {
    format!("{}/{REGION}/s3/aws4_request", &time[..8])
}

fn credential(time: &str, keys: &Keys) -> String {
    format!("{}/{}", keys.access_key, scope(time))
}

fn signature(canonical: &str, time: &str, keys: &Keys) -> String {
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{}\n{}", scope(time), hex(&sha256(canonical)));
    let secret = format!("AWS4{}", keys.secret_key.expose());
    let key =
        scope(time).split('/').fold(secret.into_bytes(), |key, part| mac(&key, part.as_bytes()).as_ref().to_vec());
    hex(mac(&key, to_sign.as_bytes()).as_ref())
}

/// Percent-encoded text for a path or a query: all but unreserved characters.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn mac(key: &[u8], text: &[u8]) -> Tag {
    sign(&Key::new(HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::spec::Secret;

    const NOW: Duration = Duration::from_secs(1_369_353_600);

    fn keys() -> Keys {
        Keys {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            expires_at: None,
        }
    }

    /// The example of Amazon's page on presigned URLs.
    #[test]
    fn a_url_is_signed_as_amazon_says() {
        let (host, day) = ("examplebucket.s3.amazonaws.com", Duration::from_secs(86_400));
        let url = presigned("GET", host, "/test.txt", &keys(), day, UNIX_EPOCH + NOW);
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(url.ends_with(&format!("&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}")), "{url}");
    }

    /// The example "GET Bucket Lifecycle" of Amazon's page on signatures in headers.
    #[test]
    fn a_request_is_signed_as_amazon_says() {
        let host = "examplebucket.s3.amazonaws.com";
        let request = Unsigned { method: "GET", host, path: "/", query: "lifecycle=", body: b"" };
        let [(_, authorization), _, (_, time)] = headers(&request, &keys(), UNIX_EPOCH + NOW);
        assert_eq!(time, "20130524T000000Z");
        let signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{authorization}");
    }

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        assert_eq!(encoded("a-B_1.~/ +é"), "a-B_1.~%2F%20%2B%C3%A9");
    }
}
