//! The command lines of pyflyte and flyte-cli, the files between them, and the script that runs both.
//!
//! `pyflyte serialize fast` writes a file for each task, workflow and launch plan, and an archive of the code;
//! `flyte-cli fast-register-files` uploads the archive to the project's bucket and tells admin of the rest. Both are the same
//! from flytekit 0.20 to 1.16, and neither needs admin's DataProxy, which flyteadmin v0.6.13 has not.

use std::path::Path;

/// What runs both in one interpreter, whose start is most of the time of each.
pub const SCRIPT: &str = include_str!("register.py");

/// Why the script did not register anything, by its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The interpreter has no flytekit, or one without flyte-cli.
    NoFlytekit,
    /// The file cannot be loaded.
    NotLoaded,
    /// Admin or the store does not take it.
    NotRegistered,
}

impl Refusal {
    /// The meaning of the script's exit code; absent where it is not the script's own.
    #[must_use]
    pub fn of(code: i32) -> Option<Self> {
        match code {
            3 => Some(Self::NoFlytekit),
            4 => Some(Self::NotLoaded),
            5 => Some(Self::NotRegistered),
            _ => None,
        }
    }
}

/// Code to be registered.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// The module that has the workflow.
    pub module: &'a str,
    /// The folder that it is imported from.
    pub root: &'a Path,
    /// The folder that pyflyte writes to.
    pub output: &'a Path,
    /// The image of tasks that name none; flytekit's own where absent.
    pub image: Option<&'a str>,
    /// The project.
    pub project: &'a str,
    /// The domain.
    pub domain: &'a str,
    /// The version of all that is registered.
    pub version: &'a str,
    /// Host and port of admin's gRPC.
    pub admin: &'a str,
    /// The project's bucket.
    pub bucket: &'a str,
}

impl Registration<'_> {
    /// The arguments of [`SCRIPT`].
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        [self.serialize(), words(&["--register"]), self.register()].concat()
    }

    /// The arguments of pyflyte.
    fn serialize(&self) -> Vec<String> {
        let mut args = words(&["--pkgs", self.module, "serialize"]);
        args.extend(self.image.iter().flat_map(|image| words(&["--image", image])));
        args.extend(words(&["--local-source-root", &self.root.to_string_lossy(), "fast", "workflows"]));
        args.extend(words(&["--folder", &self.output.to_string_lossy()]));
        args
    }

    /// The arguments of flyte-cli, without pyflyte's files. A task unpacks the code where its image works.
    fn register(&self) -> Vec<String> {
        let mut args = words(&["fast-register-files", "-p", self.project, "-d", self.domain, "-v", self.version]);
        args.extend(words(&["-h", self.admin, "-i"]));
        args.extend(words(&["--additional-distribution-dir", &format!("s3://{}/fast", self.bucket)]));
        args.extend(words(&["--dest-dir", "."]));
        args
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Why a file has no workflow that is meant, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// What is wrong.
    pub what: String,
    /// What the file has.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
    /// The names that one may have meant.
    pub known: Vec<String>,
}

/// The launch plan that a user means, by the names of pyflyte's files, such as `2_hello.wf_3.pb`: by its whole name or the
/// last part of it, or without a name the only workflow of the module.
///
/// # Errors
/// There is none of this name, or not one alone.
pub fn choose(files: &[String], module: &str, named: Option<&str>) -> Result<String, Unclear> {
    const TASK: &str = "1";
    const WORKFLOW: &str = "2";
    const LAUNCH_PLAN: &str = "3";
    let of = |kind: &str| -> Vec<&str> {
        let entities = files.iter().filter_map(|file| file.strip_suffix(".pb")?.split_once('_')?.1.rsplit_once('_'));
        entities.filter(|(_, is)| *is == kind).map(|(name, _)| name).collect()
    };
    let (own, plans) = (format!("{module}."), of(LAUNCH_PLAN));
    let meant: Vec<_> = match named {
        Some(named) if plans.contains(&named) => vec![named],
        Some(named) => plans.iter().copied().filter(|plan| plan.strip_prefix(&own) == Some(named)).collect(),
        None => of(WORKFLOW).into_iter().filter(|name| name.starts_with(&own) && plans.contains(name)).collect(),
    };
    match meant[..] {
        [plan] => Ok(plan.to_owned()),
        _ => {
            let short = |names: &[&str]| -> Vec<String> {
                names.iter().map(|name| name.strip_prefix(&own).unwrap_or(name).to_owned()).collect()
            };
            Err(unclear(short(&plans), &short(&of(TASK)), named))
        }
    }
}

fn unclear(plans: Vec<String>, tasks: &[String], named: Option<&str>) -> Unclear {
    const WRAP: &str = "a task runs in a workflow: call it in a function with `@workflow`, and name that";
    let absent = named.map_or_else(String::new, |named| format!(" `{named}`"));
    let (what, why, hint) = match named {
        _ if plans.is_empty() && tasks.is_empty() => {
            (String::new(), "it has no task either".to_owned(), "a workflow is a function with `@workflow`")
        }
        _ if plans.is_empty() => (String::new(), format!("it has tasks alone: {}", tasks.join(", ")), WRAP),
        Some(named) if tasks.iter().any(|task| task == named) => {
            (absent, format!("`{named}` is a task; workflows: {}", plans.join(", ")), WRAP)
        }
        Some(_) => (absent, format!("there are: {}", plans.join(", ")), "name one of them behind the file"),
        None => {
            let what = "it is not clear which workflow is meant".to_owned();
            let why = format!("there are: {}", plans.join(", "));
            let hint = "name it behind the file: `sandbox run FILE.py WORKFLOW`";
            return Unclear { what, why, hint, known: Vec::new() };
        }
    };
    let known = if hint == WRAP { Vec::new() } else { plans };
    Unclear { what: format!("the file has no workflow{what}"), why, hint, known }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Registration, choose};

    #[test]
    fn code_is_registered_by_the_commands_that_every_flytekit_has() {
        let registration = Registration {
            module: "core.hello",
            root: Path::new("/state/code"),
            output: Path::new("/state/out"),
            image: Some("tasks:1"),
            project: "x",
            domain: "d-dev",
            version: "r1",
            admin: "127.0.0.1:30081",
            bucket: "my-s3-bucket-x",
        };
        insta::assert_snapshot!("command_lines", registration.arguments().join(" "));
        assert!(!Registration { image: None, ..registration }.arguments().contains(&"--image".to_owned()));
    }

    #[test]
    fn the_workflow_is_the_one_that_is_named_or_the_only_one_of_the_file() {
        let files = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let one = files("0_m.task_1.pb 1_m.my_wf_2.pb 2_m.my_wf_3.pb fast0.tar.gz");
        // What is imported is registered too; a launch plan has any name.
        let several = files("0_m.a_2.pb 1_m.a_3.pb 2_m.b_2.pb 3_m.b_3.pb 4_other.wf_2.pb 5_other.wf_3.pb 6_daily_3.pb");
        let imported = files("0_m.a_2.pb 1_m.a_3.pb 4_other.wf_2.pb 5_other.wf_3.pb");
        for (files, named, chosen) in [
            (&one, None, Ok("m.my_wf")),
            (&one, Some("my_wf"), Ok("m.my_wf")),
            (&one, Some("m.my_wf"), Ok("m.my_wf")),
            (&one, Some("wf"), Err("there are: my_wf")),
            (&one, Some("task"), Err("`task` is a task; workflows: my_wf")),
            (&several, None, Err("there are: a, b, other.wf, daily")),
            (&several, Some("b"), Ok("m.b")),
            (&several, Some("other.wf"), Ok("other.wf")),
            (&several, Some("wf"), Err("there are: a, b, other.wf, daily")),
            (&several, Some("daily"), Ok("daily")),
            (&imported, None, Ok("m.a")),
        ] {
            let found = choose(files, "m", named).map_err(|unclear| unclear.why);
            assert_eq!(found, chosen.map(str::to_owned).map_err(str::to_owned), "{files:?} {named:?}");
        }
    }
}
