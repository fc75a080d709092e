//! Backups: the format, files that are not or no longer one, objects of a Minio, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use flyte_sandbox::backup::{FORMAT, Manifest, ObjectHead, Part, ReadError, Totals, Writer, read};
use flyte_sandbox::failure::Reason;
use flyte_sandbox::rehearsal::{Minio, as_minio};
use flyte_sandbox::run::Deadline;
use flyte_sandbox::spec::Spec;
use flyte_sandbox::store::{BucketAdmin, Upload};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::machine::Machine;

fn manifest(databases: usize) -> Manifest {
    Manifest {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        created: "2026-11-27T10:00:00Z".to_owned(),
        sandbox: "flyte".to_owned(),
        projects: vec!["x".to_owned()],
        domains: vec!["d-dev".to_owned()],
        bucket: "my-s3-bucket".to_owned(),
        images: BTreeMap::from([("postgres".to_owned(), "postgres:10.16-alpine".to_owned())]),
        kubernetes: "v1.21.2+k3s1".to_owned(),
        postgres: 10,
        databases: (0..databases).map(|at| format!("database_{at}")).collect(),
        unfinished: 0,
    }
}

fn head(key: &str, size: usize) -> ObjectHead {
    ObjectHead {
        bucket: "my-s3-bucket".to_owned(),
        key: key.to_owned(),
        size: size as u64,
        content_type: None,
        metadata: BTreeMap::new(),
    }
}

/// A backup with these dumps and objects.
fn written(dumps: &[Vec<u8>], objects: &[(ObjectHead, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &manifest(dumps.len())).expect("begun");
    for dump in dumps {
        writer.database(dump.len() as u64).expect("begun");
        dump.chunks(700).for_each(|part| writer.content(part).expect("written"));
    }
    for (head, content) in objects {
        writer.object(head).expect("begun");
        writer.content(content).expect("written");
    }
    writer.finish().expect("written").1
}

fn small() -> Vec<u8> {
    written(&[b"select 1;".to_vec()], &[(head("a/b", 5), b"hello".to_vec()), (head("c/", 0), Vec::new())])
}

fn judged(file: &[u8]) -> Result<(Manifest, Totals), ReadError> {
    read(file, |_, _| Ok(()))
}

/// An archive of entries that anybody may have made.
fn forged(entries: &[(tar::EntryType, &str, u64, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (kind, name, size, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    zstd::encode_all(&archive[..], 1).expect("packed")
}

fn text(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        dumps in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..4),
        objects in prop::collection::vec(
            ("[a-z][a-z0-9-]{2,20}", "[^/.\\p{Cc}][^/\\p{Cc}]{0,40}(/[^/.\\p{Cc}]{1,80}){0,4}", prop::collection::vec(any::<u8>(), 0..2000)),
            0..6,
        ),
    ) {
        let objects: Vec<_> = objects.into_iter().filter(|(bucket, ..)| bucket != "minio").map(|(bucket, key, content)| {
            let metadata = BTreeMap::from([("x-amz-meta-by".to_owned(), "somebody".to_owned())]);
            (ObjectHead { bucket, metadata, content_type: Some("text/plain".to_owned()), ..head(&key, content.len()) }, content)
        }).collect();
        let (mut read_dumps, mut read_objects) = (Vec::new(), Vec::new());
        let (read_manifest, totals) = read(&written(&dumps, &objects)[..], |part, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            match part {
                Part::Manifest(_) => {}
                Part::Database { size, .. } => {
                    assert_eq!(size, bytes.len() as u64);
                    read_dumps.push(bytes);
                }
                Part::Object(head) => read_objects.push((head.clone(), bytes)),
            }
            Ok(())
        }).expect("whole");
        prop_assert_eq!(read_manifest, manifest(dumps.len()));
        prop_assert_eq!((totals.databases, totals.objects), (dumps.len() as u64, objects.len() as u64));
        prop_assert_eq!(read_dumps, dumps);
        prop_assert_eq!(read_objects, objects);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(judged(&bytes).is_err());
        prop_assert!(judged(&zstd::encode_all(&bytes[..], 1).expect("packed")).is_err());
    }
}

#[test]
fn a_backup_that_is_cut_or_changed_anywhere_is_refused() {
    let whole = small();
    judged(&whole).expect("whole");
    for end in 0..whole.len() {
        assert!(judged(&whole[..end]).is_err(), "cut after {end} of {} bytes", whole.len());
    }
    let contents = |file: &[u8]| {
        let mut all = Vec::new();
        let read = read(file, |part, content| {
            all.extend_from_slice(format!("{part:?}").as_bytes());
            content.read_to_end(&mut all).map(drop)
        });
        read.map(|_| all)
    };
    let unchanged = contents(&whole).expect("whole");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        // Some bits of zstd's headers mean nothing to its reader.
        if let Ok(read) = contents(&changed) {
            assert_eq!(read, unchanged, "byte {at}");
        }
    }
    // The same where nothing but the archive's own end tells.
    let archive = zstd::decode_all(&whole[..]).expect("packed");
    for blocks in 0..archive.len() / 512 - 2 {
        let cut = zstd::encode_all(&archive[..blocks * 512], 1).expect("packed");
        assert!(judged(&cut).is_err(), "cut after {blocks} blocks");
    }
}

#[test]
fn a_writer_that_is_given_other_content_than_it_was_told_of_fails() {
    let begun = || Writer::new(Vec::new(), &manifest(1)).expect("begun");
    let mut more = begun();
    more.database(3).expect("begun");
    assert!(more.content(b"four").is_err());
    let mut less = begun();
    less.database(3).expect("begun");
    less.content(b"2b").expect("written");
    assert!(less.finish().is_err());
}

#[test]
fn an_archive_that_is_no_backup_is_refused_in_words() {
    use tar::EntryType::{GNULongName, Regular, Symlink, XHeader};
    let one = text(&manifest(1));
    let none = text(&manifest(0));
    let object = |change: Value| {
        let mut object = json!({"bucket": "my-s3-bucket", "key": "a", "size": 1});
        object.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        text(&object)
    };
    let size = |bytes: &[u8]| bytes.len() as u64;
    let manifest_of = |bytes: &[u8]| forged(&[(Regular, "manifest.json", size(bytes), bytes)]);
    let after =
        |entry: (tar::EntryType, &str, u64, &[u8])| forged(&[(Regular, "manifest.json", size(&none), &none), entry]);
    let headed = |head: &[u8]| after((Regular, "objects/0.json", size(head), head));
    let future = text(&json!({"format": FORMAT + 1, "anything": "else"}));
    let injecting = Manifest { databases: vec!["host=elsewhere".to_owned()], ..manifest(0) };
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), ""),
        ("text", b"not a backup at all".to_vec(), ""),
        ("empty archive", forged(&[]), "it is empty"),
        ("other archive", forged(&[(Regular, "index.md", 5, b"hello")]), "not a backup"),
        ("other format", manifest_of(&future), "it has format 2"),
        ("no format", manifest_of(b"{}"), "no format"),
        ("injection", manifest_of(&text(&injecting)), "no database's name"),
        ("path", after((Regular, "../../../etc/passwd", 5, b"hello")), "should be"),
        ("absolute path", after((Regular, "/etc/passwd", 5, b"hello")), "should be"),
        ("link", after((Symlink, "objects/0.json", 0, b"")), "not a plain file"),
        ("long name", after((GNULongName, "././@LongLink", 1 << 40, b"")), "not a plain file"),
        ("extended header", after((XHeader, "objects/0.json", 1 << 40, b"")), "not a plain file"),
        ("key that leads away", headed(&object(json!({"key": "../minio/admin/v3/add-user"}))), "no object's key"),
        ("bucket that leads away", headed(&object(json!({"bucket": "minio"}))), "no bucket's name"),
        ("header", headed(&object(json!({"metadata": {"authorization": "me"}}))), "headers"),
        ("huge object", headed(&object(json!({"size": 1_u64 << 40}))), "bytes"),
        ("huge document", after((Regular, "objects/0.json", 1 << 40, b"")), "no document"),
        (
            "huge dump",
            forged(&[(Regular, "manifest.json", size(&one), &one), (Regular, "databases/0.sql", 1 << 50, b"")]),
            "more than",
        ),
        ("wrong totals", after((Regular, "end.json", 37, br#"{"databases":0,"objects":1,"bytes":0}"#)), "its end says"),
    ];
    for (what, file, word) in table {
        let error = judged(&file).expect_err(what);
        assert!(error.to_string().contains(word), "{what}: {error}");
        let failure = error.failure("b.tar.zst");
        assert_eq!((failure.reason, failure.object.as_deref()), (Reason::BackupInvalid, Some("b.tar.zst")));
    }
}

#[test]
fn a_backup_that_unpacks_to_very_much_is_read_in_bounded_memory() {
    // A gigabyte of zeros in some 40 kB, where a document should be.
    let mut packed = zstd::Encoder::new(Vec::new(), 1).expect("begun");
    let mut header = tar::Header::new_gnu();
    header.set_path("manifest.json").expect("a path");
    header.set_size(1 << 30);
    header.set_cksum();
    packed.write_all(header.as_bytes()).expect("written");
    io::copy(&mut io::repeat(0).take(1 << 30), &mut packed).expect("written");
    let bomb = packed.finish().expect("written");
    let error = judged(&bomb).expect_err("a bomb");
    assert!(error.to_string().contains("no document has more than"), "{error}");
}

/// A rehearsal's Minio, and its administration.
async fn minio() -> BucketAdmin {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (world, spec) = (Arc::new(Mutex::new(Minio::default())), Spec::default());
    let root = spec.storage.root();
    let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let answer = world.lock().expect("whole").answer(&spec, &method, &uri, &headers, body);
        async move { as_minio(answer) }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    BucketAdmin::new(port, root, Deadline::after(Duration::from_secs(30))).expect("a client")
}

async fn upload(store: &BucketAdmin, key: &str, size: usize, parts: &[&'static [u8]]) -> Result<(), Reason> {
    let (chunks, content) = mpsc::channel(1);
    let metadata = BTreeMap::new();
    let object = Upload { bucket: "my-s3-bucket", key, size: size as u64, content_type: None, metadata: &metadata };
    let feed = async move {
        for part in parts {
            // Whoever refuses it takes no more.
            let _ = chunks.send(Bytes::from_static(part)).await;
        }
    };
    let (done, ()) = tokio::join!(store.upload(&object, content), feed);
    done.map_err(|failure| failure.reason)
}

#[tokio::test]
async fn objects_are_written_in_parts_listed_and_read_back() {
    let store = minio().await;
    let keys = ["a/b c+d%", "metadata/ö", "z"];
    for key in keys {
        upload(&store, key, 10, &[b"hello", b"world"]).await.expect("written");
    }
    assert!(store.buckets().await.expect("listed").contains(&"my-s3-bucket".to_owned()));
    let mut page = store.list("my-s3-bucket", None).await.expect("listed");
    let mut listed = page.keys;
    while let Some(next) = page.next {
        page = store.list("my-s3-bucket", Some(&next)).await.expect("listed");
        listed.extend(page.keys);
    }
    assert_eq!(listed, keys);
    let mut object = store.download("my-s3-bucket", keys[0]).await.expect("read").expect("there");
    let mut content = Vec::new();
    while let Some(bytes) = object.chunk().await.expect("read") {
        content.extend_from_slice(&bytes);
    }
    assert_eq!((object.size, &content[..]), (10, &b"helloworld"[..]));
    assert!(store.download("my-s3-bucket", "not/there").await.expect("asked").is_none());
    store.create_bucket("my-s3-bucket").await.expect("it exists");
    assert_eq!(store.list("elsewhere", None).await.expect_err("no such bucket").reason, Reason::BackupFailed);
}

#[tokio::test]
async fn an_object_whose_content_is_cut_is_not_written() {
    let store = minio().await;
    assert_eq!(upload(&store, "cut", 10, &[b"hello"]).await, Err(Reason::BackupFailed));
    assert_eq!(upload(&store, "long", 3, &[b"hello"]).await, Err(Reason::BackupFailed));
    assert_eq!(store.list("my-s3-bucket", None).await.expect("listed").keys, Vec::<String>::new());
}

#[test]
fn a_rehearsal_says_that_it_has_nothing_to_save_and_takes_nothing() {
    let machine = Machine::new();
    machine.up(&[]).exits(0);
    let refused = machine.run(&["backup", "b.tar.zst", "-o", "json"]).exits(2).failure();
    assert_eq!(
        (&refused["reason"], &refused["what"]),
        (&json!("usage"), &json!("a rehearsal has no database to save"))
    );
    assert!(!machine.folder.path().join("b.tar.zst").exists());
    fs::write(machine.folder.path().join("b.tar.zst"), small()).expect("written");
    let refused = machine.up(&["--restore", "b.tar.zst"]).exits(2).failure();
    assert_eq!((&refused["reason"], &refused["object"]), (&json!("usage"), &json!("--restore")));
    machine.run(&["status"]).exits(0);
}

#[test]
fn a_file_is_judged_before_docker_is_asked_and_before_a_fresh_start() {
    let machine = Machine::new();
    let path = machine.folder.path().join("b.tar.zst");
    let up = |more: &[&str]| {
        let flags = [&["up", "--engine", "docker", "-o", "json", "--fresh", "--restore", "b.tar.zst"], more].concat();
        machine.run(&flags)
    };
    let whole = small();
    for content in [&b"something else"[..], &whole[..whole.len() - 9]] {
        fs::write(&path, content).expect("written");
        assert_eq!(up(&[]).exits(3).failure()["reason"], "backup-invalid");
    }
    fs::remove_file(&path).expect("removed");
    assert_eq!(up(&[]).exits(3).failure()["reason"], "backup-invalid");
    fs::write(&path, &whole).expect("written");
    let failure = up(&["--project", "other"]).exits(3).failure();
    assert_eq!(failure["causes"], json!(["the spec lacks its projects x"]));
    // All is well with the file: now Docker is looked for, which is not there.
    assert_eq!(up(&["--project", "x"]).exits(4).failure()["reason"], "docker-absent");
}
