//! The folder as one file, to be sent to somebody.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tar::{Builder, EntryType, Header};

use crate::files::{NewFile, Readable};

/// zstd's own default.
const LEVEL: i32 = 3;

/// Packs a folder of evidence into `file`, or into `<folder>.tar.zst`, and says where that is: a tar of paths relative to
/// the folder's parent that gives away no owner. It is there whole or not at all, readable by its owner only.
///
/// # Errors
/// The file system's own.
pub fn archive(folder: &Path, file: Option<&Path>) -> io::Result<PathBuf> {
    let file = file.map_or_else(|| beside(folder), Path::to_owned);
    let mut new = NewFile::create(&file, Readable::ByOwner)?;
    pack(folder, new.file())?;
    new.commit()?;
    Ok(file)
}

/// The archive beside its folder.
pub(super) fn beside(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(".tar.zst");
    path.into()
}

fn pack(folder: &Path, to: &mut File) -> io::Result<()> {
    let mut tar = Builder::new(zstd::Encoder::new(to, LEVEL)?);
    let name = Path::new(folder.file_name().unwrap_or_default());
    for path in files(folder)? {
        let source = File::open(folder.join(&path))?;
        let about = source.metadata()?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(about.len());
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(about.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()));
        tar.append_data(&mut header, name.join(&path), source)?;
    }
    tar.into_inner()?.finish().map(drop)
}

/// The regular files of a folder by their paths in it, in order. Links are not followed.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(within) = open.pop() {
        for entry in fs::read_dir(folder.join(&within))? {
            let entry = entry?;
            let path = within.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn it_holds_every_file_by_a_relative_path_and_nothing_of_who_made_it() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("20261125T101500Z");
        fs::create_dir_all(folder.join("pods/n")).expect("a folder");
        for (path, text) in [("index.md", "# why"), ("pods/n/p.log", "last words")] {
            fs::write(folder.join(path), text).expect("a file");
        }
        symlink("/etc/passwd", folder.join("link")).expect("a link");
        let file = archive(&folder, None).expect("packed");
        assert_eq!(file, home.path().join("20261125T101500Z.tar.zst"));
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        let mut tar = tar::Archive::new(zstd::Decoder::new(File::open(&file).expect("there")).expect("zstd"));
        let mut seen = Vec::new();
        for entry in tar.entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!((header.uid().ok(), header.gid().ok(), header.mode().ok()), (Some(0), Some(0), Some(0o600)));
            assert_eq!((header.username().ok().flatten(), header.groupname().ok().flatten()), (Some(""), Some("")));
            let path = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            seen.push((path, text));
        }
        let expected = [("20261125T101500Z/index.md", "# why"), ("20261125T101500Z/pods/n/p.log", "last words")];
        assert_eq!(seen, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn one_that_cannot_be_made_leaves_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        archive(&home.path().join("nowhere"), Some(&home.path().join("a.tar.zst"))).expect_err("nothing to pack");
        assert_eq!(fs::read_dir(home.path()).expect("there").count(), 0);
    }
}
