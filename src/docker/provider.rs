//! The product that runs a Docker daemon, by what the daemon says of itself, and what its users have to be told.

use std::fmt;

/// The product that runs a Docker daemon. On macOS and Windows each has a virtual machine for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Provider {
    /// Docker Engine.
    #[default]
    Engine,
    /// Docker Desktop.
    Desktop,
    /// Colima, with this profile.
    Colima(String),
    /// `OrbStack`.
    OrbStack,
    /// Rancher Desktop.
    Rancher,
    /// Another virtual machine of Lima, of this name.
    Lima(String),
    /// Podman, which answers as Docker would.
    Podman,
}

/// What a daemon says of itself, in its answers to `/info` and `/version`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub(super) operating_system: &'a str,
    /// Its host's name.
    pub(super) name: &'a str,
    /// Its kernel's release.
    pub(super) kernel: &'a str,
    pub(super) labels: &'a [String],
    /// The names of its version's components.
    pub(super) components: &'a [String],
}

impl Provider {
    /// The product, from what the daemon says. The names are those of Docker Desktop 4, Colima, `OrbStack`, Rancher Desktop and
    /// Podman as their sources and issues have them.
    pub(super) fn of(said: Said<'_>) -> Self {
        let Said { operating_system, name, kernel, labels, components } = said;
        let is_desktop = operating_system == "Docker Desktop"
            || name == "docker-desktop"
            || labels.iter().any(|label| label.starts_with("com.docker.desktop."));
        if components.iter().any(|component| component.contains("Podman")) {
            Self::Podman
        } else if is_desktop {
            Self::Desktop
        } else if operating_system == "OrbStack" || kernel.contains("orbstack") {
            Self::OrbStack
        } else if name == "lima-rancher-desktop" || name == "rancher-desktop" {
            Self::Rancher
        } else if let Some(profile) = name.strip_prefix("colima") {
            let profile = profile.strip_prefix('-').unwrap_or(profile);
            Self::Colima(if profile.is_empty() { "default".to_owned() } else { profile.to_owned() })
        } else if let Some(machine) = name.strip_prefix("lima-") {
            Self::Lima(machine.to_owned())
        } else {
            Self::Engine
        }
    }

    /// Whether the daemon has a virtual machine of its own on this one, whose disk, memory and kernel it speaks of.
    #[must_use]
    pub const fn is_vm(&self) -> bool {
        !matches!(self, Self::Engine | Self::Podman)
    }

    /// Whether ports arrive on this machine by Lima, which looks for new and gone ones every three seconds and tells of one
    /// that is taken in its log alone.
    #[must_use]
    pub const fn forwards_late(&self) -> bool {
        matches!(self, Self::Colima(_) | Self::Rancher | Self::Lima(_))
    }

    /// How its users give it this much memory.
    #[must_use]
    pub fn more_memory(&self, gib: u64) -> Option<String> {
        Some(match self {
            Self::Desktop => format!("Docker Desktop: Settings, Resources, Memory: {gib} GB"),
            Self::Colima(profile) => {
                let profile = profile_argument(profile);
                format!("`colima stop{profile}`, then `colima start{profile} --memory {gib}`")
            }
            Self::OrbStack => format!("`orb config set memory_mib {}`", gib * 1024),
            Self::Rancher => format!("Rancher Desktop: Preferences, Virtual Machine, Memory: {gib} GB"),
            Self::Lima(name) => format!("`limactl stop {name}`, then `limactl start {name} --memory {gib}`"),
            Self::Podman if cfg!(not(target_os = "linux")) => {
                format!("`podman machine stop`, `podman machine set --memory {}`, `podman machine start`", gib * 1024)
            }
            Self::Engine | Self::Podman => return None,
        })
    }

    /// How its users give it more room on its disk, where that is not this machine's.
    #[must_use]
    pub fn more_disk(&self) -> Option<String> {
        Some(match self {
            Self::Desktop => "Docker Desktop: Settings, Resources, Disk usage limit".to_owned(),
            Self::Colima(profile) => format!("`colima start{} --disk 100` gives it more", profile_argument(profile)),
            Self::Rancher => "Rancher Desktop: Preferences, Virtual Machine, Volumes".to_owned(),
            Self::Lima(name) => format!("`limactl start {name} --disk 100` gives it more"),
            Self::OrbStack | Self::Engine | Self::Podman => return None,
        })
    }

    /// How its users start it again, with a clock that is right and ports that arrive.
    #[must_use]
    pub fn restart(&self) -> String {
        match self {
            Self::Desktop => "Docker Desktop: Troubleshoot, Restart".to_owned(),
            Self::Colima(profile) => format!("`colima restart{}`", profile_argument(profile)),
            Self::OrbStack => "`orb restart docker`".to_owned(),
            Self::Rancher => "`rdctl shutdown`, then `rdctl start`".to_owned(),
            Self::Lima(name) => format!("`limactl stop {name}`, then `limactl start {name}`"),
            Self::Podman if cfg!(not(target_os = "linux")) => {
                "`podman machine stop`, then `podman machine start`".to_owned()
            }
            Self::Engine | Self::Podman => "restart the daemon's service".to_owned(),
        }
    }

    /// How its users get the ports of containers to arrive again.
    #[must_use]
    pub fn ports_again(&self) -> String {
        format!("for published ports to arrive again: {}", self.restart())
    }

    /// How its users get amd64 programs to run on an arm64 machine by Rosetta, which Go's programs survive.
    #[must_use]
    pub fn rosetta(&self) -> Option<String> {
        Some(match self {
            Self::Desktop => {
                "Docker Desktop: Settings, General, Apple Virtualization framework, and Rosetta for x86_64/amd64"
                    .to_owned()
            }
            Self::Colima(profile) => {
                let profile = profile_argument(profile);
                format!(
                    "`colima delete{profile}`, which removes all that is in it, then `colima start{profile} --vm-type vz --vz-rosetta --memory 6`"
                )
            }
            Self::OrbStack => "`orb config set rosetta true`".to_owned(),
            Self::Rancher => {
                "Rancher Desktop: Preferences, Virtual Machine, Emulation: VZ, and Rosetta support".to_owned()
            }
            Self::Lima(name) => format!("`limactl start {name} --vm-type vz --rosetta`"),
            Self::Podman if cfg!(not(target_os = "linux")) => {
                "a machine of the provider applehv has Rosetta; libkrun has none".to_owned()
            }
            Self::Engine | Self::Podman => return None,
        })
    }
}

fn profile_argument(profile: &str) -> String {
    if profile == "default" { String::new() } else { format!(" --profile {profile}") }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine => f.write_str("Docker Engine"),
            Self::Desktop => f.write_str("Docker Desktop"),
            Self::Colima(profile) if profile == "default" => f.write_str("Colima"),
            Self::Colima(profile) => write!(f, "Colima, profile {profile}"),
            Self::OrbStack => f.write_str("OrbStack"),
            Self::Rancher => f.write_str("Rancher Desktop"),
            Self::Lima(name) => write!(f, "Lima, machine {name}"),
            Self::Podman => f.write_str("Podman"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_known_by_what_its_daemon_says() {
        let labels = ["com.docker.desktop.address=unix:///x/docker-cli.sock".to_owned()];
        let components = ["Podman Engine".to_owned(), "Conmon".to_owned()];
        let said = Said::default();
        for (said, provider, in_words, is_vm) in [
            (
                Said { operating_system: "Debian GNU/Linux 12", name: "build1", ..said },
                Provider::Engine,
                "Docker Engine",
                false,
            ),
            (Said { operating_system: "Docker Desktop", ..said }, Provider::Desktop, "Docker Desktop", true),
            (Said { labels: &labels, ..said }, Provider::Desktop, "Docker Desktop", true),
            (Said { name: "colima", ..said }, Provider::Colima("default".into()), "Colima", true),
            (Said { name: "colima-work", ..said }, Provider::Colima("work".into()), "Colima, profile work", true),
            (Said { kernel: "6.15.11-orbstack-00539", ..said }, Provider::OrbStack, "OrbStack", true),
            (Said { name: "lima-rancher-desktop", ..said }, Provider::Rancher, "Rancher Desktop", true),
            (Said { name: "lima-docker", ..said }, Provider::Lima("docker".into()), "Lima, machine docker", true),
            (Said { components: &components, name: "colima", ..said }, Provider::Podman, "Podman", false),
            (said, Provider::Engine, "Docker Engine", false),
        ] {
            let found = Provider::of(said);
            assert_eq!((found.to_string().as_str(), found.is_vm()), (in_words, is_vm), "{said:?}");
            assert_eq!(found, provider);
        }
    }

    #[test]
    fn each_product_with_a_machine_of_its_own_says_how_it_gets_more_and_starts_again() {
        let all = [
            Provider::Desktop,
            Provider::Colima("work".into()),
            Provider::OrbStack,
            Provider::Rancher,
            Provider::Lima("docker".into()),
        ];
        let words = all.map(|provider| {
            let more = [provider.more_memory(6), provider.more_disk(), provider.rosetta(), Some(provider.restart())];
            format!("{provider}\n  {}", more.into_iter().flatten().collect::<Vec<_>>().join("\n  "))
        });
        insta::assert_snapshot!(words.join("\n"));
        assert_eq!(
            Provider::Engine.more_memory(6).or(Provider::Engine.more_disk()).or(Provider::Engine.rosetta()),
            None
        );
    }
}
