use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn a_known_secret_is_no_key_no_name_and_no_number_either() {
    let mask = Mask::new(["known-secret".to_owned(), "1234567890".to_owned()]);
    for (given, masked) in [
        (
            json!({"value of known-secret": "x", "a": {"known-secret": [1]}}),
            json!({"value of ***": "x", "a": {"***": [1]}}),
        ),
        (json!({"kind": "Secret", "data": {"known-secret": "x"}}), json!({"kind": "Secret", "data": {"***": "***"}})),
        (json!(["known-secret token=x", 1234567890, 5]), json!(["*** token=***", "***", 5])),
    ] {
        assert_eq!(mask.value(given), masked);
    }
}

#[test]
fn what_looks_like_a_secret_is_masked_where_it_stands() {
    let base64 = "MIIEpAIBAAKCAQEA7bq0q1Yw2mQmQ0b4yQ1c5F0c6J2ZQ8mB0gQz1n4b8VwqXo2k";
    let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{base64}\n{base64}\nQ0E=\n-----END RSA PRIVATE KEY-----");
    let table = [
        (format!("key:\n{pem}\nafter"), "key:\n***\nafter"),
        (format!("{{\"key\":\"{}\"}}", pem.replace('\n', "\\n")), r#"{"key":"***"}"#),
        (format!("-----BEGIN CERTIFICATE-----\n{base64}\nQ0E"), "***"),
        (format!("{base64}\nQ0E=\n-----END CERTIFICATE-----\nafter"), "***\nafter"),
        ("  client-key-data: S0VZ\n  server: x".into(), "  client-key-data: ***\n  server: x"),
        ("certificate-authority-data: Q0E=".into(), "certificate-authority-data: ***"),
        ("token: abc.def ghi\nname: x".into(), "token: ***\nname: x"),
        (r#"{"token":"abc","name":"x"}"#.into(), r#"{"token":"***","name":"x"}"#),
        (r#"say {\"secretKey\":\"abc\",\"b\":1}"#.into(), r#"say {\"secretKey\":\"***\",\"b\":1}"#),
        (r#"level=info token="abc def" msg=x"#.into(), r#"level=info token="***" msg=x"#),
        ("GET / Authorization: Bearer abc".into(), "GET / Authorization: Bearer ***"),
        ("authorization: Basic bWluaW86".into(), "authorization: Basic ***"),
        ("sent bearer abcdef.0123456789abcdef".into(), "sent bearer ***"),
        ("got eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2ln, and went".into(), "got ***, and went"),
        ("K10a8c7e4f5b6d7c8e9f0::server:0123abcd and".into(), "*** and"),
        ("K3S_TOKEN=abcdef next".into(), "K3S_TOKEN=*** next"),
        ("--token abcdef --other x".into(), "--token *** --other x"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+g".into(), "AWS_SECRET_ACCESS_KEY=***"),
        ("POSTGRES_PASSWORD='a b'".into(), "POSTGRES_PASSWORD='***'"),
        ("storage:\n  secret-key: a b\n  access_key: c".into(), "storage:\n  secret-key: ***\n  access_key: ***"),
        ("stow: {accessKey: abc, secret_key: def}".into(), "stow: {accessKey: ***, secret_key: ***}"),
        ("MinIO: SecretKey: miniostorage AccessKey: minio".into(), "MinIO: SecretKey: *** AccessKey: ***"),
        ("password: |-\n  abc\nb: 1".into(), "password: |-\n  ***\nb: 1"),
        ("dial postgres://flyte:pa%20ss@postgres:5432/db".into(), "dial postgres://***@postgres:5432/db"),
        ("http://:abc@host/".into(), "http://***@host/"),
    ];
    for (text, masked) in table {
        assert_eq!(Mask::default().text(&text), masked, "{text}");
        assert_eq!(Mask::default().text(masked), masked, "a second time");
    }
}

#[test]
fn ordinary_text_survives() {
    for text in [
        r#"MountVolume.SetUp failed for volume "db-secret" : secret "db-pass" not found"#,
        r#"MountVolume.SetUp failed for volume "kube-api-access-token" : configmap "kube-root-ca.crt" not found"#,
        "cannot get token: Post \"https://127.0.0.1:6443/api\": dial tcp 127.0.0.1:6443: connect: connection refused",
        "wrong password: authentication failed for user flyte",
        "reading secret: context deadline exceeded",
        "automountServiceAccountToken: false\nsecretName: minio\npasswordPath: /etc/db/pass.txt",
        r#"{"token":null,"tokenExpirationSeconds":3600,"secret":{"secretName":"x"}}"#,
        "password: \"\"",
        "image docker.io/minio/minio@sha256:0e2e26b3b2c7c0a1f5e7b6f9e0e8c4a0a0e4e2c4 of docker-pullable://minio/minio@sha256:0e2e",
        "rancher/k3s:v1.21.2-k3s1 listens on tcp://127.0.0.1:6443 and unix:///run/k3s/containerd/containerd.sock",
        "time=\"2021-06-01T00:00:00Z\" level=fatal msg=\"starting kubernetes: preparing server: no room\"",
        "E1123 20:36:40.000001 1 reflector.go:1] Failed to watch *v1.Secret: secrets is forbidden",
        "bearer authentication is off; basic authentication too",
        "me@build.example, ssh://me@build.example, http://localhost:30081/console",
        "MinIO data at /data: 103020-flytepoc-dev/minio-data",
    ] {
        assert_eq!(Mask::default().text(text), text);
    }
}

#[test]
fn data_is_masked_by_its_keys_and_kept_in_its_shape() {
    let mask = Mask::new(["known secret \"x\"".to_owned()]);
    let masked = mask.value(json!({
        "kind": "List",
        "items": [
            {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "QQ=="}, "stringData": {"b": "B"}},
            {"kind": "ConfigMap", "data": {"c.yaml": "storage:\n  secret-key: C\n  bucket: d"}},
            {"env": [
                {"name": "MINIO_SECRET_KEY", "value": "E"},
                {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "BUCKET", "value": "f"},
            ]},
        ],
        "Config": {"Env": ["K3S_TOKEN=g h", "PATH=/bin"], "Cmd": ["server", "--token", "i", "--debug"]},
        "storage": {"accessKey": "j", "secretKey": "k", "bucket": "l"},
        "password": 12345,
        "note": "it said: known secret \"x\"!",
        "automountServiceAccountToken": false,
    }));
    assert_eq!(
        masked,
        json!({
            "kind": "List",
            "items": [
                {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": MASK}, "stringData": {"b": MASK}},
                {"kind": "ConfigMap", "data": {"c.yaml": "storage:\n  secret-key: ***\n  bucket: d"}},
                {"env": [
                    {"name": "MINIO_SECRET_KEY", "value": MASK},
                    {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "BUCKET", "value": "f"},
                ]},
            ],
            "Config": {"Env": ["K3S_TOKEN=***", "PATH=/bin"], "Cmd": ["server", "--token", MASK, "--debug"]},
            "storage": {"accessKey": MASK, "secretKey": MASK, "bucket": "l"},
            "password": MASK,
            "note": "it said: ***!",
            "automountServiceAccountToken": false,
        })
    );
}

#[test]
fn a_known_secret_that_is_an_ordinary_word_is_left_to_the_other_rules() {
    assert_eq!(Mask::new(["minio".to_owned()]).text("minio is up"), "minio is up");
}

proptest! {
    #[test]
    fn a_known_secret_never_comes_out_of_text(
        secret in r#"[a-zA-Z0-9"'\\+/=:@ -]{6,40}"#, before in ".{0,40}", after in ".{0,40}", again in any::<bool>(),
    ) {
        let text = format!("{before}{secret}{after}{}", if again { &secret } else { "" });
        let masked = Mask::new([secret.clone()]).text(&text);
        prop_assert!(!masked.contains(&secret), "{masked}");
    }

    #[test]
    fn a_known_secret_never_comes_out_of_data(
        secret in r#"[a-zA-Z0-9"'\\+/=:@ -]{6,40}"#, key in "[a-zA-Z_.-]{1,12}", around in ".{0,20}", plain in any::<bool>(),
    ) {
        let text = if plain { secret.clone() } else { format!("{around}{secret}{around}") };
        let value = json!({"list": [{ key.clone(): text.clone() }, text], "nested": json!({ key: secret.clone() }).to_string()});
        let mask = Mask::new([secret.clone()]);
        // The way of every file: as data first, then as the text that is written.
        let written = mask.text(&serde_json::to_string_pretty(&mask.value(value)).expect("JSON"));
        let escaped = serde_json::Value::String(secret.clone()).to_string();
        prop_assert!(!written.contains(&secret) && !written.contains(escaped.trim_matches('"')), "{written}");
        prop_assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "no JSON any more: {written}");
    }

    #[test]
    fn no_text_makes_it_panic_or_grow_without_end(text in r#"(?s)[-\\"'a-z:=\n{} ]{0,200}"#) {
        let masked = Mask::default().text(&format!("token{text}password{text}"));
        prop_assert!(masked.len() <= 4 * text.len() + 64);
    }
}
