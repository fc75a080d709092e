//! `sandbox kubeconfig`

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::session::{CommandError, Session};
use crate::cluster;
use crate::failure::{Failure, Reason};
use crate::files::write_whole;
use crate::limits::KUBECTL_LOCK;
use crate::lock::{KubectlLock, LockError};
use crate::run::on_thread;
use crate::site;
use crate::spec::Spec;
use crate::text::shell_word;
use crate::yaml;

#[derive(Debug, Args)]
pub(crate) struct KubeconfigArgs {
    /// Merge into this file, in place of printing
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
}

pub(in crate::cli) async fn run(session: &Session, args: &KubeconfigArgs) -> Result<(), CommandError> {
    let name = session.name().await?;
    let running = session.query(async { site::running(&name, &session.host()).await }).await?;
    let (kubeconfig, spec) = (running.kubeconfig, running.inventory.spec);
    match &args.merge {
        None => session.print(&kubeconfig).await?,
        Some(file) => {
            let kubectl = kubectl(file, &kubeconfig, &spec);
            let file = file.clone();
            session.query(async { on_thread(move || merge_into(&file, &kubeconfig)).await? }).await?;
            session.print(&kubectl).await?;
        }
    }
    Ok(())
}

/// A command line that uses the sandbox's context in the merged file.
fn kubectl(file: &Path, kubeconfig: &str, spec: &Spec) -> String {
    let file = shell_word(&file.display().to_string());
    let ours = yaml::document(kubeconfig).unwrap_or_default();
    let context = shell_word(ours["current-context"].as_str().unwrap_or_default());
    let pods = if spec.scope().owns_cluster { "-A".to_owned() } else { format!("-n {}", spec.system_namespace()) };
    format!("kubectl --kubeconfig {file} --context {context} get pods {pods}")
}

/// Puts the sandbox's cluster, user and context into the user's file; the file's current context stays as it is. Comments
/// in the file, and the way it is laid out, are lost, as they are when kubectl writes it.
fn merge_into(file: &Path, kubeconfig: &str) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Reason::Usage, "cannot merge the kubeconfig").on(file.display()).because(error)
    };
    // A pipe or a device would be read without an end.
    if fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        return Err(failed(&"it is not a file"));
    }
    let _lock = KubectlLock::acquire(file, KUBECTL_LOCK).map_err(|error| match error {
        LockError::Io(error) => failed(&error),
        LockError::Held(_) => failed(&"kubectl is changing it: its lock is there")
            .hint(format!("where no kubectl runs: `rm {}.lock`", file.display())),
    })?;
    let theirs = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&error)),
    };
    let merged = cluster::merge_kubeconfig(&theirs, kubeconfig).map_err(|error| failed(&error))?;
    write_whole(file, &merged).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "{clusters: [{name: k3d-flyte}], users: [], contexts: [], current-context: k3d-flyte}";

    #[test]
    fn a_merge_that_fails_leaves_the_users_file_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        for theirs in ["clusters: [", "a: &a [*a]", "a: 1\na: 2\n"] {
            fs::write(&file, theirs).expect("written");
            let failure = merge_into(&file, OURS).expect_err("not YAML");
            assert_eq!(failure.object, Some(file.display().to_string()));
            assert_eq!(fs::read_to_string(&file).expect("there"), theirs);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }

    #[test]
    fn what_kubectl_changes_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, lock) = (folder.path().join("config"), folder.path().join("config.lock"));
        fs::write(&file, "{current-context: old}").expect("written");
        fs::File::create_new(&lock).expect("locked, as kubectl does");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                fs::write(&file, "{current-context: theirs}").expect("written");
                fs::remove_file(&lock).expect("free");
            });
            merge_into(&file, OURS).expect("merged");
        });
        let merged = fs::read_to_string(&file).expect("there");
        assert!(merged.contains("current-context: theirs") && merged.contains("k3d-flyte"), "{merged}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_merged_into() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path(), Path::new("/dev/zero"), Path::new("/dev/stdin")] {
            merge_into(path, OURS).expect_err("no file");
        }
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::os::unix::fs::symlink(&one, &other).expect("linked");
        std::os::unix::fs::symlink(&other, &one).expect("linked");
        merge_into(&one, OURS).expect_err("a circle of links");
    }
}
