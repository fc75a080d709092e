//! The machine that Docker runs on: its disk, its inotify limit and its emulators. Where its kernel is this machine's, `/proc`
//! tells; where it is a virtual machine's, a container that looks and is removed.

use std::collections::BTreeMap;
use std::path::Path;

use super::host::Disk;
use crate::cluster::cluster_labels;
use crate::docker::{About, Docker, OneShot};
use crate::limits::MACHINE_LOOK;
use crate::manifest::ImageRef;
use crate::plan::network_name;
use crate::run::Deadline;

/// Programs for other processors that the kernel knows (`binfmt_misc`), one file each.
const EMULATORS: &str = "/proc/sys/fs/binfmt_misc";
const INOTIFY: &str = "/proc/sys/fs/inotify/max_user_instances";
/// Says one fact a line. An unprivileged container sees no emulators, and one that mounts them sees those of the kernel.
const LOOK: &str = "df -Pk / | tail -1
echo inotify $(cat /proc/sys/fs/inotify/max_user_instances)
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && echo emulators $(ls /proc/sys/fs/binfmt_misc)";

/// What is known of the machine that Docker runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// The disk of Docker's folder.
    pub(super) disk: Option<Disk>,
    /// The inotify instances that a user may have.
    pub(super) inotify: Option<u64>,
    /// The names of the kernel's emulators, such as `qemu-x86_64` and `rosetta`.
    pub(super) emulators: Option<Vec<String>>,
}

/// How a kernel runs programs for another processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Emulation {
    /// It does not.
    Absent,
    /// By QEMU's user mode, in which Go's programs may crash.
    Qemu,
    /// By Rosetta.
    Rosetta,
}

impl Machine {
    /// Looks, in a container of the node's image where that has to be and the daemon has the image. What cannot be seen is
    /// absent.
    pub(super) async fn look(docker: &Docker, about: &About, image: &ImageRef, cluster: &str) -> Self {
        if docker.endpoint().is_local() && about.shares_kernel() {
            return Self::here(&about.root);
        }
        let look = async {
            docker.image(image).await.ok().flatten()?;
            let container = OneShot {
                name: format!("{}-look", network_name(cluster)),
                image: image.clone(),
                command: ["sh", "-c", LOOK].map(str::to_owned).to_vec(),
                labels: cluster_labels(cluster)
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
                mounts: Vec::new(),
                privileged: true,
            };
            docker.create_one_shot(&container).await.ok()?;
            let said = docker.run_to_end(&container.name).await;
            // `down` removes one that stays.
            let _ = docker.remove_container(&container.name).await;
            said.ok()
        };
        let said = Deadline::fixed(MACHINE_LOOK).limit(look).await.flatten();
        Self::read(&said.unwrap_or_default())
    }

    fn here(root: &str) -> Self {
        let names = std::fs::read_dir(EMULATORS).into_iter().flatten().flatten();
        Self {
            disk: disk_space(Path::new(root)),
            inotify: std::fs::read_to_string(INOTIFY).ok().and_then(|text| text.trim().parse().ok()),
            emulators: Some(names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()),
        }
    }

    /// What the container said: a line of `df`, and lines that begin with a word for what they say.
    fn read(said: &[String]) -> Self {
        let words: BTreeMap<&str, Vec<&str>> = said
            .iter()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?, words.collect()))
            })
            .collect();
        // Filesystem, 1024-blocks, Used, Available, Capacity, Mounted on.
        let disk = words.values().find(|rest| rest.last() == Some(&"/") && rest.len() == 5).and_then(|rest| {
            let bytes = |column: usize| rest[column].parse::<u64>().ok()?.checked_mul(1024);
            Some(Disk { free: bytes(2)?, size: bytes(0)? })
        });
        Self {
            disk,
            inotify: words.get("inotify").and_then(|rest| rest.first()?.parse().ok()),
            emulators: words.get("emulators").map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    /// How programs for this architecture, by Go's name, run there; absent where that is not known.
    pub(super) fn emulation(&self, architecture: &str) -> Option<Emulation> {
        let processor = match architecture {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        };
        let emulators = self.emulators.as_ref()?;
        let is = |name: &str| emulators.iter().any(|emulator| emulator == name);
        Some(match () {
            () if processor == "x86_64" && is("rosetta") => Emulation::Rosetta,
            () if is(&format!("qemu-{processor}")) => Emulation::Qemu,
            () => Emulation::Absent,
        })
    }
}

fn disk_space(path: &Path) -> Option<Disk> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(Disk { free: stat.f_bavail * stat.f_frsize, size: stat.f_blocks * stat.f_frsize })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_container_saw_is_read() {
        let said =
            "overlay 102687672 21330436 76094972 22% /\ninotify 128\nemulators qemu-x86_64 register rosetta status";
        let seen = Machine::read(&lines(said));
        assert_eq!(seen.disk, Some(Disk { free: 76_094_972 * 1024, size: 102_687_672 * 1024 }));
        assert_eq!(seen.inotify, Some(128));
        assert_eq!(seen.emulation("amd64"), Some(Emulation::Rosetta));
        assert_eq!(seen.emulation("arm64"), Some(Emulation::Absent));
        for said in ["", "df: /: no such file", "inotify\nemulators", "overlay x y z 22% /"] {
            let seen = Machine::read(&lines(said));
            assert_eq!((seen.disk, seen.inotify), (None, None), "{said}");
        }
    }

    #[test]
    fn an_emulator_that_was_not_looked_for_is_not_known() {
        let with = |names: &[&str]| Machine {
            emulators: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..Machine::default()
        };
        assert_eq!(Machine::default().emulation("amd64"), None);
        for (names, architecture, wanted) in [
            (&["qemu-x86_64"][..], "amd64", Emulation::Qemu),
            (&["qemu-x86_64", "rosetta"], "amd64", Emulation::Rosetta),
            (&["rosetta"], "arm64", Emulation::Absent),
            (&["qemu-aarch64"], "arm64", Emulation::Qemu),
            (&["register", "status"], "amd64", Emulation::Absent),
        ] {
            assert_eq!(with(names).emulation(architecture), Some(wanted), "{names:?} for {architecture}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells_of_itself() {
        let seen = Machine::here("/");
        assert!(seen.disk.is_some_and(|disk| disk.size > 0) && seen.inotify.is_some_and(|limit| limit > 0), "{seen:?}");
    }
}
