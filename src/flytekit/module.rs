//! A Python file as the module that flytekit imports.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A module, and the folder that it is imported from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The folder to import from, whose content goes into the task's pod.
    pub root: PathBuf,
    /// The module's name, such as `core.flyte_basics.hello_world`.
    pub name: String,
}

impl Module {
    /// The module of a file by its absolute path. Folders around it that are packages are a part of its name.
    ///
    /// # Errors
    /// Why Python could not import it.
    pub fn of(file: &Path, is_package: impl Fn(&Path) -> bool) -> Result<Self, &'static str> {
        if file.extension() != Some(OsStr::new("py")) {
            return Err("its name does not end with .py");
        }
        let mut names = Vec::new();
        let mut root = file.parent().unwrap_or(Path::new("/"));
        while is_package(root) {
            let Some((name, parent)) = root.file_name().zip(root.parent()) else { break };
            names.insert(0, name);
            root = parent;
        }
        let stem = file.file_stem().filter(|stem| *stem != "__init__");
        names.extend(stem);
        let names: Option<Vec<_>> = names.into_iter().map(|name| name.to_str().filter(|name| is_name(name))).collect();
        let names = names.ok_or("Python imports no file or package of such a name")?;
        Ok(Self { root: root.to_owned(), name: names.join(".") })
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && chars.all(|next| next.is_alphanumeric() || next == '_')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Module;

    #[test]
    fn packages_around_a_file_are_a_part_of_its_modules_name() {
        let packages = ["/w/core", "/w/core/basics"];
        let module = |file: &str| Module::of(Path::new(file), |at| packages.iter().any(|one| Path::new(one) == at));
        for (file, root, name) in [
            ("/w/hello.py", "/w", "hello"),
            ("/w/core/basics/hello.py", "/w", "core.basics.hello"),
            ("/w/core/basics/__init__.py", "/w", "core.basics"),
            ("/w/core/scripts/hello.py", "/w/core/scripts", "hello"),
        ] {
            let Module { root: from, name: found } = module(file).expect(file);
            assert_eq!((from.as_path(), found.as_str()), (Path::new(root), name), "{file}");
        }
        for file in ["/w/hello", "/w/hello.txt", "/w/my-file.py", "/w/1.py", "/w/a.b.py"] {
            module(file).expect_err(file);
        }
    }
}
