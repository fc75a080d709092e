//! Files that are written whole or not at all, and folders that only their owner can write.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tempfile::{Builder, NamedTempFile};

/// Links that are followed before a path is taken for a circle of them, as the kernel does.
const LINKS: usize = 40;
/// Bytes of a file's name that its temporary file repeats.
const NAME: usize = 100;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Its owner only.
    ByOwner,
    /// Whoever the user's umask lets.
    ByUmask,
}

/// A file under a temporary name in its target's folder: gone when dropped, unless it was committed.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// Begins to write what is to replace `path`, whose folder must be there. Where the path is a link, its target is
    /// replaced, and the link stays. A folder, a pipe or a device such as `/dev/null` is never replaced.
    ///
    /// # Errors
    /// Something that is not a file is there, or the file system's own.
    pub fn create(path: &Path, readable: Readable) -> io::Result<Self> {
        let target = resolved(path)?;
        if fs::metadata(&target).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("it is not a file"));
        }
        let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let end = (0..=NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        let mode = match readable {
            Readable::ByOwner => 0o600,
            Readable::ByUmask => 0o666,
        };
        let file = Builder::new()
            .prefix(&format!(".{}.", &name[..end]))
            .suffix(".partial")
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(folder_of(&target))?;
        Ok(Self { file, target })
    }

    /// The file, to be written.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Puts the file at its target, for good also when the machine loses power; the result is its size in bytes.
    ///
    /// # Errors
    /// The file system's own; the target is as it was.
    pub fn commit(self) -> io::Result<u64> {
        self.file.as_file().sync_all()?;
        let file = self.file.persist(&self.target).map_err(|error| error.error)?;
        match File::open(folder_of(&self.target))?.sync_all() {
            // Some network volumes know no such thing for a folder.
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {}
            synced => synced?,
        }
        Ok(file.metadata()?.len())
    }
}

/// Writes a file whole or not at all, readable by its owner only, as [`NewFile`] does.
///
/// # Errors
/// The file system's own.
pub fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut new = NewFile::create(path, Readable::ByOwner)?;
    new.file().write_all(content.as_ref())?;
    new.commit().map(drop)
}

/// A file without a name, on the disk that `path` is on: it is gone when it is closed or the process is killed.
///
/// # Errors
/// The file system's own.
pub fn scratch_beside(path: &Path) -> io::Result<File> {
    tempfile::tempfile_in(folder_of(path))
}

/// Why a folder is not private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPrivate {
    /// Whoever made it chooses what is in it.
    #[error("it belongs to another user (uid {0})")]
    Owner(u32),
    /// Whoever may write to it chooses what is in it.
    #[error("other users can write to it (mode {0:04o})")]
    Mode(u32),
}

impl NotPrivate {
    /// The reason that an error carries, if it is one of these.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// Makes a folder, and those above it that are not there, for nobody else to look into. One that is there must be the
/// user's own, and nobody else may write to it.
///
/// # Errors
/// The file system's own, or [`NotPrivate`].
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check_private(path)
}

/// Looks whether a folder, if it is there, is the user's own and written by nobody else. It is never tightened: the path
/// may have been given by mistake (as root: `/tmp`), and what others put there before would stay.
///
/// # Errors
/// [`NotPrivate`], or the file system's own.
pub fn check_private(path: &Path) -> io::Result<()> {
    let us = geteuid().as_raw();
    // In a folder that everybody may write, a link is a way to have us use another folder of our own.
    for about in [fs::symlink_metadata(path), fs::metadata(path)] {
        let about = match about {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            about => about?,
        };
        if about.uid() != us && !(about.is_symlink() && about.uid() == 0) {
            return Err(io::Error::other(NotPrivate::Owner(about.uid())));
        }
        if about.is_dir() && about.mode() & 0o022 != 0 {
            return Err(io::Error::other(NotPrivate::Mode(about.mode() & 0o7777)));
        }
    }
    Ok(())
}

/// What a path leads to, also where that is not there yet.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..LINKS {
        let Ok(to) = fs::read_link(&at) else { return Ok(at) };
        at = folder_of(&at).join(to);
    }
    Err(io::Error::other("too many links"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("there").flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn what_is_written_whole_replaces_the_file_behind_a_link_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real.yaml"), folder.path().join("config"));
        fs::write(&real, "before").expect("written");
        fs::write(folder.path().join("config.partial"), "theirs").expect("written");
        symlink("real.yaml", &link).expect("linked");
        write_whole(&link, "after").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("there"), "after");
        assert_eq!(fs::read_to_string(folder.path().join("config.partial")).expect("there"), "theirs");
        assert_eq!(mode(&real), 0o600);
        assert_eq!(names(folder.path()), ["config", "config.partial", "real.yaml"]);
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("dotfiles")).expect("made");
        let link = folder.path().join("config");
        symlink("dotfiles/config", &link).expect("linked");
        write_whole(&link, "text").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_to_string(folder.path().join("dotfiles/config")).expect("there"), "text");
        symlink("b", folder.path().join("a")).expect("linked");
        symlink("a", folder.path().join("b")).expect("linked");
        write_whole(&folder.path().join("a"), "text").expect_err("a circle");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_leaves_nothing_half_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let occupied = folder.path().join("config");
        fs::create_dir_all(occupied.join("in it")).expect("made");
        write_whole(&occupied, "text").expect_err("a folder is there");
        // Whoever runs as root may put a file in a device's place.
        write_whole(Path::new("/dev/null"), "text").expect_err("a device");
        write_whole(&folder.path().join("not there/config"), "text").expect_err("no folder");
        write_whole(Path::new("/"), "text").expect_err("no name");
        drop(NewFile::create(&folder.path().join("given up"), Readable::ByUmask).expect("begun"));
        assert_eq!(names(folder.path()), ["config"]);
    }

    #[test]
    fn a_name_of_any_length_can_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "é".repeat(127);
        write_whole(&folder.path().join(&name), "text").expect("written");
        assert_eq!(names(folder.path()), [name]);
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_and_stays_as_it_is() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("a/b");
        private_folder(&folder).expect("made");
        assert_eq!((mode(&folder), mode(&home.path().join("a"))), (0o700, 0o700));
        for (open, refused) in [(0o755, false), (0o775, true), (0o777, true), (0o1777, true), (0o702, true)] {
            set_mode(&folder, open);
            let checked = private_folder(&folder).map_err(|error| NotPrivate::of(&error));
            assert_eq!(checked, if refused { Err(Some(NotPrivate::Mode(open))) } else { Ok(()) }, "{open:o}");
            assert_eq!(mode(&folder), open);
        }
        let link = home.path().join("link");
        symlink(&folder, &link).expect("linked");
        set_mode(&folder, 0o777);
        private_folder(&link).expect_err("what it leads to is open");
        check_private(&home.path().join("not there")).expect("nothing to refuse");
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        // The root folder is ours only where root runs the tests, who can give folders away instead.
        let home = tempfile::tempdir().expect("a folder");
        let (folder, owner) = if geteuid().is_root() {
            std::os::unix::fs::chown(home.path(), Some(12_345), None).expect("given away");
            (home.path(), 12_345)
        } else {
            (Path::new("/"), 0)
        };
        let error = check_private(folder).expect_err("another's");
        assert_eq!(NotPrivate::of(&error), Some(NotPrivate::Owner(owner)));
    }
}
