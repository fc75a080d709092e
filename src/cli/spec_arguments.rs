//! The command line of another run with the same spec.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::args::Global;
use super::spec_flags::SpecFlags;

/// Flags of every command that say how it is shown.
const VIEWS: [&str; 3] = ["output", "quiet", "verbose"];

/// The arguments of a command that change its spec, as they were given. Those of the environment are not among them: another
/// run has the same environment.
pub(super) fn spec_arguments(given: &ArgMatches) -> Vec<OsString> {
    let all = SpecFlags::augment_args(Global::augment_args(Command::new("")));
    let is_given = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        !VIEWS.contains(&id) && given.value_source(id) == Some(ValueSource::CommandLine)
    };
    all.get_arguments().filter(is_given).flat_map(|arg| words(arg, given)).collect()
}

/// The words for one argument: of a list, one for each value.
fn words(arg: &Arg, given: &ArgMatches) -> Vec<OsString> {
    let flag = format!("--{}", arg.get_long().unwrap_or_default());
    if !arg.get_action().takes_values() {
        return vec![flag.into()];
    }
    let word = |value: &OsStr| {
        let mut word = OsString::from(format!("{flag}="));
        word.push(value);
        word
    };
    given.get_raw(arg.get_id().as_str()).into_iter().flatten().map(word).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::command_line::Cli;

    fn of_up(line: &[OsString]) -> ArgMatches {
        let matches = Cli::command().try_get_matches_from(line).expect("a command line");
        matches.subcommand().map(|(_, up)| up.clone()).expect("up")
    }

    #[test]
    fn what_changes_the_spec_is_passed_on_and_nothing_else() {
        for (line, passed) in [
            ("up", ""),
            ("up --project x,y --domain d=Dev,t=Test", "--project=x --project=y --domain=d=Dev --domain=t=Test"),
            ("up --project x --project y", "--project=x --project=y"),
            ("up --image minio=a/b:1 --image=postgres=c:2", "--image=minio=a/b:1 --image=postgres=c:2"),
            ("up --registry --port-registry 5050", "--registry --port-registry=5050"),
            ("up --upstream-credentials", "--upstream-credentials"),
            ("--config here.yaml --name one up", "--name=one --config=here.yaml"),
            ("up --config here.yaml --name one", "--name=one --config=here.yaml"),
            ("up --manifests set --profile minimal", "--profile=minimal --manifests=set"),
            (
                "up --registry-mirror a=b,c=d --keep-external e,f",
                "--registry-mirror=a=b --registry-mirror=c=d --keep-external=e --keep-external=f",
            ),
            ("-o json up -q --fresh --ttl 1h --timeout 5m --full --no-cache", ""),
            ("up -vv --cold --keep --junit out.xml --output human", ""),
        ] {
            let line: Vec<_> = std::iter::once("sandbox").chain(line.split(' ')).map(OsString::from).collect();
            let words = spec_arguments(&of_up(&line));
            assert_eq!(words.join(OsStr::new(" ")), passed, "{line:?}");
            let again: Vec<_> =
                ["sandbox", "up", "--spare"].map(OsString::from).into_iter().chain(words.clone()).collect();
            assert_eq!(spec_arguments(&of_up(&again)), words, "another run has the same spec");
        }
    }

    #[test]
    fn a_path_need_not_be_text() {
        let path = OsString::from_vec(b"/tmp/\xff, x.yaml".to_vec());
        let words = spec_arguments(&of_up(&["sandbox".into(), "up".into(), "--config".into(), path.clone()]));
        let mut word = OsString::from("--config=");
        word.push(path);
        assert_eq!(words, [word]);
    }

    /// Cargo has this variable set for every test.
    #[test]
    fn what_the_environment_says_is_not_said_again() {
        let of_environment = SpecFlags::augment_args(Global::augment_args(Command::new("up")))
            .mut_arg("env", |arg| arg.env("CARGO_PKG_NAME"));
        for (line, passed) in [(&["up"][..], &[][..]), (&["up", "--env", "prod"], &["--env=prod"])] {
            let given = of_environment.clone().try_get_matches_from(line).expect("a command line");
            assert!(given.contains_id("env"), "{line:?}");
            assert_eq!(spec_arguments(&given), passed, "{line:?}");
        }
    }
}
