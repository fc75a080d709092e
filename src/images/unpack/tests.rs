//! Round trips, and everything that must be refused.

use std::io::Cursor;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::super::pack::{named, pack};
use super::*;
use crate::manifest::ImageRef;

/// An image: its name, and the content of its layers.
type Image = (&'static str, Vec<Vec<u8>>);

fn names(images: &[Image]) -> Vec<ImageRef> {
    images.iter().map(|(name, _)| name.parse().expect(name)).collect()
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config =
        json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diff_ids } });
    config.to_string().into_bytes()
}

fn hex(content: &[u8]) -> String {
    Digest::of(content).as_str().trim_start_matches("sha256:").to_owned()
}

fn add(archive: &mut Builder<Vec<u8>>, path: &str, content: &[u8]) {
    append(archive, path, content.len() as u64, content).expect("written");
}

/// What Docker 20.10 saves: a folder for each layer, links for those that were saved before, the list last.
fn saved(images: &[Image]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut first = BTreeMap::new();
    let mut list = Vec::new();
    for (at, (name, layers)) in images.iter().enumerate() {
        let mut paths = Vec::new();
        for (level, layer) in layers.iter().enumerate() {
            let path = format!("{at}-{level}/layer.tar");
            add(&mut archive, &format!("{at}-{level}/VERSION"), b"1.0");
            match first.get(layer) {
                None => add(&mut archive, &path, layer),
                Some(other) => {
                    let mut header = Header::new_gnu();
                    header.set_entry_type(EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, &path, format!("../{other}")).expect("written");
                }
            }
            first.entry(layer.clone()).or_insert_with(|| path.clone());
            paths.push(path);
        }
        let config = config(layers);
        let file = format!("{}.json", hex(&config));
        add(&mut archive, &file, &config);
        list.push(json!({ "Config": file, "RepoTags": ["other/name:1", name], "Layers": paths }));
    }
    add(&mut archive, "manifest.json", json!(list).to_string().as_bytes());
    archive.into_inner().expect("written")
}

fn packed(saved: &[u8], names: &[ImageRef]) -> Result<Vec<u8>, String> {
    let mut bundle = Vec::new();
    pack(&mut Cursor::new(saved), names, &BTreeSet::new(), &mut bundle).map_err(|error| error.to_string())?;
    Ok(bundle)
}

fn two() -> Vec<Image> {
    let shared = b"a shared layer".to_vec();
    vec![("a/b:1", vec![shared.clone(), b"more".to_vec()]), ("registry.example/c:2", vec![shared])]
}

fn bundle() -> Vec<u8> {
    packed(&saved(&two()), &names(&two())).expect("a bundle")
}

/// The files of an archive.
fn files(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), content)
    });
    entries.collect()
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    files.iter().for_each(|(path, content)| add(&mut archive, path, content));
    archive.into_inner().expect("written")
}

#[track_caller]
fn refused(bundle: &[u8], why: &str) {
    let error = check(bundle).expect_err("refused").to_string();
    assert!(error.contains(why), "{error:?} does not say {why:?}");
}

#[test]
fn a_bundle_has_what_was_asked_for_with_shared_layers_once() {
    let images = check(&bundle()[..]).expect("whole");
    let found: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(found, ["docker.io/a/b:1", "registry.example/c:2"]);
    let config = Digest::of(&config(&two()[0].1));
    assert!(
        images[0].is(config.as_str()) && !images[1].is(config.as_str()),
        "Docker's id is the configuration's digest"
    );
    let layers = files(&bundle()).into_iter().filter(|(_, content)| content == b"a shared layer").count();
    assert_eq!(layers, 1);
}

#[test]
fn the_documents_come_before_what_they_name() {
    let paths: Vec<_> = files(&bundle()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(&paths[..3], ["oci-layout", "index.json", "manifest.json"]);
    assert_eq!(paths.len(), 3 + 2 + 2 + 2);
}

#[test]
fn what_docker_is_given_has_only_what_it_lacks_and_is_an_archive_of_a_newer_docker() {
    let images = check(&bundle()[..]).expect("whole");
    let mut given = Vec::new();
    extract(&bundle()[..], &images[1..], &mut given).expect("extracted");
    let paths: Vec<_> = files(&given).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 3 + 3, "a manifest, a configuration and a layer, then the documents");
    assert_eq!(&paths[3..], ["oci-layout", "index.json", "manifest.json"]);
    let again = packed(&given, &names(&two()[1..])).expect("a bundle");
    assert_eq!(check(&again[..]).expect("whole"), images[1..]);
}

#[test]
fn an_image_that_docker_did_not_save_is_named() {
    let why = packed(&saved(&two()), &["x/y:1".parse().expect("a name")]).expect_err("not in it");
    assert_eq!(why, "image x/y:1 is not in it");
}

#[test]
fn a_layer_that_docker_saved_wrong_is_not_packed() {
    let mut files = files(&saved(&two()));
    let layer = files.iter_mut().find(|(_, content)| content == b"more").expect("a layer");
    layer.1 = b"less".to_vec();
    let list = files.last().expect("a list").1.clone();
    // Links are lost on this way, so only the first image is asked for.
    assert!(String::from_utf8_lossy(&list).contains("0-1/layer.tar"));
    let why = packed(&archive(&files), &names(&two()[..1])).expect_err("wrong");
    assert!(why.contains(Digest::of(b"more").as_str()) && why.contains(Digest::of(b"less").as_str()), "{why}");
}

#[test]
fn what_is_no_bundle_is_refused() {
    refused(&saved(&two()), "`0-0/VERSION` is where oci-layout should be");
    refused(b"", "oci-layout is missing");
    refused(&[b'x'; 600], "");
    refused(&archive(&[("oci-layout".into(), vec![])]), "index.json is missing");
    let no_image = files(&bundle()).into_iter().take(3).map(|(path, content)| match path.as_str() {
        "index.json" => (path, br#"{"schemaVersion":2,"manifests":[]}"#.to_vec()),
        _ => (path, content),
    });
    refused(&archive(&no_image.collect::<Vec<_>>()), "no image is in it");
}

#[test]
fn every_blob_must_be_there_once_and_be_what_it_is_called() {
    let whole = files(&bundle());
    for at in 3..whole.len() {
        let mut less = whole.clone();
        let (path, content) = less.remove(at);
        check(&archive(&less)[..]).expect_err(&path);

        let mut twice = whole.clone();
        twice.push((path.clone(), content.clone()));
        refused(&archive(&twice), "not named before it comes, or comes twice");

        let mut other = whole.clone();
        other[at].1[0] ^= 1;
        refused(&archive(&other), "what should be sha256:");

        let mut longer = whole.clone();
        longer[at].1.push(0);
        refused(&archive(&longer), "bytes and should have");
    }
}

/// The bundle, and then an entry as no bundle has it.
fn with_entry(kind: EntryType, path: &[u8], size: u64) -> Vec<u8> {
    let mut bundle = bundle();
    bundle.truncate(bundle.len() - 1024);
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
    header.set_cksum();
    bundle.extend(header.as_bytes());
    bundle.extend([0; 1024]);
    bundle
}

#[test]
fn ways_out_of_the_folder_links_devices_and_headers_of_any_size_are_refused() {
    for path in ["/etc/passwd", "../etc/passwd", "blobs/sha256/../../x", "blobs/sha256/x", "./index.json", ""] {
        refused(&with_entry(EntryType::Regular, path.as_bytes(), 0), &format!("`{path}` is not named before it comes"));
    }
    for kind in b"1234567LKxgSVDM" {
        refused(&with_entry(EntryType::new(*kind), b"blobs/sha256/x", 0), "`blobs/sha256/x` is not a plain file");
    }
    refused(&with_entry(EntryType::XHeader, b"x", u64::MAX / 4), "`x` is not a plain file");
}

#[test]
fn giant_sizes_are_refused_before_anything_of_that_size_is_read() {
    let whole = files(&bundle());
    let mut index: serde_json::Value = serde_json::from_slice(&whole[1].1).expect("JSON");
    index["manifests"][0]["size"] = json!(DOCUMENT + 1);
    let mut large = whole.clone();
    large[1].1 = index.to_string().into_bytes();
    refused(&archive(&large), "no document has more than");

    let mut long = whole.clone();
    long[1].1 = vec![b' '; usize::try_from(DOCUMENT).expect("small") + 1];
    refused(&archive(&long), "no document has more than");

    let mut manifest: serde_json::Value = serde_json::from_slice(&whole[3].1).expect("JSON");
    manifest["layers"][0]["size"] = json!(u64::MAX);
    let bytes = manifest.to_string().into_bytes();
    index["manifests"][0]["size"] = json!(bytes.len());
    index["manifests"][0]["digest"] = json!(Digest::of(&bytes));
    let mut huge = whole;
    huge[1].1 = index.to_string().into_bytes();
    huge[3] = (Digest::of(&bytes).path(), bytes);
    refused(&archive(&huge), "its blobs have more than 64 GiB");
}

#[test]
fn layers_that_are_not_those_of_the_configuration_are_refused() {
    let images = two();
    let mut whole = files(&bundle());
    // The second image's configuration in the place of the first one's: its digest is right, and it is another image.
    let (first, second) = (config(&images[0].1), config(&images[1].1));
    let mut manifest: serde_json::Value = serde_json::from_slice(&whole[3].1).expect("JSON");
    manifest["config"]["digest"] = json!(Digest::of(&second));
    manifest["config"]["size"] = json!(second.len());
    let bytes = manifest.to_string().into_bytes();
    let mut index: serde_json::Value = serde_json::from_slice(&whole[1].1).expect("JSON");
    index["manifests"][0]["size"] = json!(bytes.len());
    index["manifests"][0]["digest"] = json!(Digest::of(&bytes));
    whole[1].1 = index.to_string().into_bytes();
    whole[3] = (Digest::of(&bytes).path(), bytes);
    whole.retain(|(_, content)| *content != first);
    refused(&archive(&whole), "image docker.io/a/b:1: it is made of 1 layers, and 2 are there");
}

#[test]
fn what_follows_the_end_is_refused() {
    let mut more = bundle();
    more.extend(saved(&two()));
    refused(&more, "something follows its end");
    let mut zeros = bundle();
    zeros.extend(vec![0; 1 << 20]);
    refused(&zeros, "something follows its end");
}

#[test]
fn whoever_takes_no_more_is_told_apart_from_a_bundle_that_is_no_good() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let images = check(&bundle()[..]).expect("whole");
    let error = extract(&bundle()[..], &images, Full).expect_err("full");
    assert!(matches!(error, UnpackError::Write(_)), "{error:?}");
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.include_checksum(true).expect("a checksum");
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

fn check_compressed(bytes: &[u8]) -> Result<Vec<Bundled>, UnpackError> {
    check(zstd::Decoder::new(bytes).map_err(UnpackError::Read)?)
}

#[test]
fn no_part_of_a_compressed_bundle_passes_for_the_whole() {
    let whole = compressed(&bundle());
    check_compressed(&whole).expect("whole");
    for length in 0..whole.len() {
        check_compressed(&whole[..length]).expect_err("cut short");
    }
}

proptest! {
    #[test]
    fn images_of_any_layers_go_through_either_dockers_archive(
        layers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        others in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
    ) {
        let images = vec![("a/b:1", layers), ("c:2", others)];
        // Layers of fewer than five bytes may look compressed; what they are called does not matter here.
        let bundle = packed(&saved(&images), &names(&images)).expect("packed");
        let found = check(&bundle[..]).expect("whole");
        let mut given = Vec::new();
        extract(&bundle[..], &found, &mut given).expect("extracted");
        prop_assert_eq!(packed(&given, &names(&images)).expect("packed again"), bundle);
    }

    #[test]
    fn a_changed_byte_never_changes_an_image(at in any::<prop::sample::Index>(), change in 1..=255u8) {
        let whole = bundle();
        let mut changed = whole.clone();
        let at = at.index(changed.len());
        changed[at] ^= change;
        // Modes, dates and padding of the archive itself are nobody's content.
        if let Ok(images) = check(&changed[..]) {
            let blobs = |images: Vec<Bundled>| images.iter().flat_map(Bundled::blobs).cloned().collect::<Vec<_>>();
            prop_assert_eq!(
                blobs(images).into_iter().map(|blob| blob.digest).collect::<Vec<_>>(),
                blobs(check(&whole[..]).expect("whole")).into_iter().map(|blob| blob.digest).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(check(&bytes[..]).is_err());
        prop_assert!(check_compressed(&bytes).is_err());
        prop_assert!(packed(&bytes, &names(&two())).is_err());
    }
}

#[test]
fn what_the_reader_has_is_named_and_not_written() {
    let shared = Digest::of(b"a shared layer");
    let mut rest = Vec::new();
    let has = BTreeSet::from([shared.clone()]);
    pack(&mut Cursor::new(saved(&two())), &names(&two()), &has, &mut rest).expect("packed");
    let (whole, rest) = (files(&bundle()), files(&rest));
    let left_out: Vec<_> = whole.iter().filter(|file| !rest.contains(file)).collect();
    assert_eq!(left_out, [&(shared.path(), b"a shared layer".to_vec())]);
    assert!(rest.iter().all(|file| whole.contains(file)), "nothing else differs");
}

#[test]
fn an_archive_tells_the_names_and_ids_of_its_images() {
    let images = named(&mut Cursor::new(saved(&two()))).expect("read");
    let found: Vec<_> = images.iter().map(|image| (image.reference.as_str(), image.size)).collect();
    assert_eq!(found, [("other/name:1", 18), ("a/b:1", 18), ("other/name:1", 14), ("registry.example/c:2", 14)]);
    assert_eq!(images[1].id, Digest::of(&config(&two()[0].1)).as_str());
    named(&mut Cursor::new(b"no archive".to_vec())).expect_err("refused");
}
