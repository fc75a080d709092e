//! A lens into the YAML files inside ConfigMaps.
//!
//! Flyte's components read all files that match `*.yaml` and merge them, so a setting may stand in any of them, and its
//! keys in upper or lower case (viper, which they read with, ignores it).

use serde_json::{Map, Value};

use super::error::RenderError;
use crate::manifest::Object;
use crate::yaml;

/// The YAML files of one ConfigMap or several, parsed. Files that are not changed keep their text.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    /// Of the ConfigMap among those that were opened together.
    map: usize,
    name: String,
    content: Value,
    changed: bool,
}

impl Config {
    /// Parses the entries of a ConfigMap whose names end in `.yaml` or `.yml`. Templates that become YAML only when
    /// they are filled in, such as those of the resources that admin can make for a project, are left alone.
    pub(super) fn open(object: &Object) -> Result<Self, RenderError> {
        let mut config = Self::default();
        config.add(0, object)?;
        Ok(config)
    }

    /// Parses a further ConfigMap that the same program reads. A setting that stands nowhere goes to the first.
    pub(super) fn add(&mut self, map: usize, object: &Object) -> Result<(), RenderError> {
        let entries = object.get("/data").and_then(Value::as_object).into_iter().flatten();
        for (name, text) in entries.filter(|(name, _)| is_yaml(name)) {
            let text = text.as_str().unwrap_or_default();
            match yaml::settings(text) {
                Ok(content) => self.files.push(File { map, name: name.clone(), content, changed: false }),
                Err(_) if text.contains("{{") => {}
                Err(error) => {
                    let object = Box::new(object.reference());
                    return Err(RenderError::Payload { object, file: name.clone(), error });
                }
            }
        }
        Ok(())
    }

    /// Whether an entry was parsed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// The value at a path; of several that of the file that comes last by name, as a program that reads all of them has it.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Value> {
        let having = self.files.iter().filter(|file| at(&file.content, path).is_some());
        at(&having.max_by_key(|file| (file.map, &file.name))?.content, path)
    }

    /// Sets the value in every file that has the path; where none has it, in the file `home`.
    pub(super) fn set(&mut self, home: &str, path: &[&str], value: impl Into<Value>) {
        let value = value.into();
        let mut set = false;
        for file in self.files.iter_mut().filter(|file| at(&file.content, path).is_some()) {
            file.put(path, &value);
            set = true;
        }
        if set {
            return;
        }
        if !self.files.iter().any(|file| file.name == home) {
            self.files.push(File { map: 0, name: home.to_owned(), content: Value::Null, changed: true });
        }
        if let Some(file) = self.files.iter_mut().find(|file| file.name == home) {
            file.put(path, &value);
        }
    }

    /// Sets a value that stands nowhere yet, in the file `home`.
    pub(super) fn set_missing(&mut self, home: &str, path: &[&str], value: impl Into<Value>) {
        if self.get(path).is_none_or(Value::is_null) {
            self.set(home, path, value);
        }
    }

    /// Removes a value from every file, and then files in which nothing is left.
    pub(super) fn remove(&mut self, path: &[&str]) {
        let Some((last, parents)) = path.split_last() else { return };
        for file in &mut self.files {
            let mut inner = Some(&mut file.content);
            for key in parents {
                inner = inner.and_then(|value| value.get_mut(spelled(value, key)?));
            }
            let removed = inner.and_then(|value| {
                let key = spelled(value, last)?;
                value.as_object_mut()?.shift_remove(&key)
            });
            file.changed |= removed.is_some();
        }
    }

    /// All settings in the file `home`, as a component that reads every file sees them: of two that differ the one in
    /// the file that comes later by name.
    pub(super) fn merge_into(&mut self, home: &str) {
        if self.files.iter().all(|file| file.name == home) {
            return;
        }
        let merged = self.clone().merged();
        for file in &mut self.files {
            file.content = Value::Object(Map::new());
            file.changed = true;
        }
        let map = self.files.iter().find(|file| file.name == home).map_or(0, |file| file.map);
        self.files.retain(|file| (file.map, file.name.as_str()) != (map, home));
        self.files.push(File { map, name: home.to_owned(), content: merged, changed: true });
    }

    /// All settings, as a component that reads every file sees them.
    pub(super) fn merged(mut self) -> Value {
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut merged = Value::Object(Map::new());
        for file in self.files {
            overlay(&mut merged, file.content);
        }
        merged
    }

    /// Changes each file as a whole; `edit` says whether it did.
    pub(super) fn each(&mut self, mut edit: impl FnMut(&mut Value) -> bool) {
        for file in &mut self.files {
            file.changed |= edit(&mut file.content);
        }
    }

    /// Writes what was changed back.
    pub(super) fn close(self, object: &mut Object) {
        self.write(0, object);
    }

    /// Writes what was changed back to one of the ConfigMaps that were opened together.
    pub(super) fn write(&self, map: usize, object: &mut Object) {
        for file in self.files.iter().filter(|file| file.changed && file.map == map) {
            if file.content.as_object().is_some_and(Map::is_empty) {
                object.remove(&["data", &file.name]);
            } else {
                object.set(&["data", &file.name], yaml::emit(&file.content));
            }
        }
    }
}

impl File {
    fn put(&mut self, path: &[&str], value: &Value) {
        if at(&self.content, path) == Some(value) {
            return;
        }
        let mut inner = &mut self.content;
        for key in path {
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            let key = spelled(inner, key).unwrap_or_else(|| (*key).to_owned());
            let Value::Object(map) = inner else { return };
            inner = map.entry(key).or_insert(Value::Null);
        }
        *inner = value.clone();
        self.changed = true;
    }
}

/// Lays one value over another: mappings are joined, anything else is replaced.
pub(super) fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                overlay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |inner, key| match inner.get(*key) {
        Some(found) => Some(found),
        None => inner.get(spelled(inner, key)?),
    })
}

/// A key as a mapping has it, whatever its case.
fn spelled(value: &Value, key: &str) -> Option<String> {
    let map = value.as_object()?;
    let same = |there: &&String| there.eq_ignore_ascii_case(key);
    map.get_key_value(key).map(|(there, _)| there).or_else(|| map.keys().find(same)).cloned()
}

/// Whether an entry of a ConfigMap is one that Flyte's components would read.
pub(super) fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_map() -> Object {
        let data = json!({"a.yaml": "s: {x: 1}  # kept\n", "b.yaml": "s: {y: 2}\n", "c.txt": ": not : yaml"});
        Object::new(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}))
            .expect("an object")
    }

    #[test]
    fn a_file_that_is_not_changed_keeps_its_text() {
        let mut object = config_map();
        let mut config = Config::open(&object).expect("YAML");
        config.set("a.yaml", &["s", "x"], 1);
        config.set("a.yaml", &["s", "y"], "y");
        config.close(&mut object);
        assert_eq!(object.get("/data/a.yaml"), Some(&json!("s: {x: 1}  # kept\n")));
        let text = object.get("/data/b.yaml").and_then(Value::as_str).expect("text");
        assert_eq!(yaml::document(text).expect("YAML"), json!({"s": {"y": "y"}}));
    }

    #[test]
    fn a_setting_that_stands_nowhere_goes_to_its_home_and_an_emptied_file_goes() {
        let mut object = config_map();
        let mut config = Config::open(&object).expect("YAML");
        config.set("n.yaml", &["p", "q"], true);
        config.remove(&["s", "nothing"]);
        config.close(&mut object);
        assert_eq!(object.get("/data/n.yaml"), Some(&json!("p:\n  q: true\n")));
        let mut config = Config::open(&object).expect("YAML");
        config.remove(&["p"]);
        config.close(&mut object);
        assert_eq!(object.get("/data/n.yaml"), None);
    }

    #[test]
    fn merged_files_say_together_what_they_said_apart() {
        let mut object = config_map();
        object.set(&["data", "b.yaml"], "s: {x: 2, y: [1]}\n");
        for _ in 0..2 {
            let mut config = Config::open(&object).expect("YAML");
            config.merge_into("home.yaml");
            config.close(&mut object);
            let text = object.get("/data/home.yaml").and_then(Value::as_str).expect("text");
            assert_eq!(yaml::document(text).expect("YAML"), json!({"s": {"x": 2, "y": [1]}}));
            assert_eq!(object.get("/data/a.yaml").or(object.get("/data/b.yaml")), None);
        }
        assert_eq!(object.get("/data/c.txt"), Some(&json!(": not : yaml")));
    }

    #[test]
    fn a_template_is_left_alone() {
        let mut object = config_map();
        object.set(&["data", "a.yaml"], "metadata: {name: {{ namespace }}}\n");
        let config = Config::open(&object).expect("a template is no mistake");
        assert!(!config.has("a.yaml") && config.has("b.yaml"));
    }

    #[test]
    fn a_broken_file_is_named() {
        let mut object = config_map();
        object.set(&["data", "a.yaml"], "a: [");
        let error = Config::open(&object).expect_err("not YAML");
        assert!(matches!(error, RenderError::Payload { file, .. } if file == "a.yaml"));
    }
}
