//! The code that goes into a task's pod: a copy of its folder without what no task imports.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

/// The most bytes that are taken: more is data, or a folder that is not a project's.
const MOST: u64 = 20_000_000;
/// Folders that no task imports. Hidden files and virtual environments are left out, too.
const LEFT_OUT: [&str; 2] = ["__pycache__", "node_modules"];

/// Copies the files of a folder, and of those below it, to a new folder.
///
/// # Errors
/// There is more than is taken, or the file system's own.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    copy_within(from, to, &mut 0)
}

fn copy_within(from: &Path, to: &Path, bytes: &mut u64) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if is_left_out(&entry) {
            continue;
        }
        // Of a link, what it leads to; a folder that a link leads to may hold the link.
        let (kind, target) = (entry.file_type()?, fs::metadata(&path));
        match target {
            Ok(_) if kind.is_dir() => copy_within(&path, &to.join(name), bytes)?,
            Ok(file) if file.is_file() => {
                *bytes += file.len();
                if *bytes > MOST {
                    let most = MOST / 1_000_000;
                    return Err(io::Error::other(format!("there are more than {most} MB, with {}", path.display())));
                }
                fs::copy(&path, to.join(name))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_left_out(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name.starts_with('.') || LEFT_OUT.contains(&&*name) || entry.path().join("pyvenv.cfg").exists()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::copy;

    #[test]
    fn code_is_copied_without_environments_caches_and_what_is_hidden() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for file in ["wf.py", "pkg/data.csv", ".git/config", "pkg/__pycache__/a.pyc", "env/pyvenv.cfg", "env/lib/a.py"]
        {
            let path = from.join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, file).expect("written");
        }
        std::os::unix::fs::symlink("wf.py", from.join("link.py")).expect("linked");
        std::os::unix::fs::symlink("..", from.join("pkg/up")).expect("linked");
        std::os::unix::fs::symlink("nowhere", from.join("broken.py")).expect("linked");
        copy(&from, &to).expect("copied");
        let mut names: Vec<_> =
            fs::read_dir(&to).expect("there").map(|entry| entry.expect("one").file_name()).collect();
        names.sort();
        assert_eq!(names, ["link.py", "pkg", "wf.py"]);
        assert_eq!(fs::read_dir(to.join("pkg")).expect("there").count(), 1);
        assert_eq!(fs::read_to_string(to.join("link.py")).expect("read"), "wf.py");
    }

    #[test]
    fn a_folder_of_data_is_refused_with_what_is_large() {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path().join("from");
        fs::create_dir(&from).expect("made");
        fs::File::create(from.join("large.bin")).and_then(|file| file.set_len(30_000_000)).expect("written");
        let error = copy(&from, &folder.path().join("to")).expect_err("too much").to_string();
        assert!(error.starts_with("there are more than 20 MB, with ") && error.ends_with("large.bin"), "{error}");
    }
}
