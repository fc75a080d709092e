//! The location of a sandbox: what the spec asks for, and what the state folder records.

use super::host::Host;
use crate::context::ClusterLocation;
use crate::failure::{Failure, Reason};
use crate::rehearsal;
use crate::spec::{SiteKind, Spec};

/// Where a sandbox is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a node in Docker.
    Node,
    /// In namespaces of an existing cluster.
    Attached(ClusterLocation),
    /// In a simulated cluster.
    Rehearsal,
}

impl Location {
    /// Where a spec asks for its sandbox.
    #[must_use]
    pub fn wanted(spec: &Spec) -> Self {
        match (spec.site_kind(), ClusterLocation::of(spec)) {
            (_, Some(place)) => Self::Attached(place),
            (SiteKind::Rehearsal, None) => Self::Rehearsal,
            (SiteKind::Node | SiteKind::Attached, None) => Self::Node,
        }
    }

    /// Where this machine's state folder says that the sandbox of this name is; absent where it records none.
    ///
    /// # Errors
    /// [`Reason::StateUnwritable`]: the record cannot be read.
    pub fn recorded(name: &str, host: &Host) -> Result<Option<Self>, Failure> {
        let state = host.state.sandbox(name);
        let path = state.cluster_location();
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::new(Reason::StateUnwritable, "cannot read which cluster the sandbox is on")
                .on(path.display())
                .because(error)
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                return serde_json::from_str(&text)
                    .map(|place| Some(Self::Attached(place)))
                    .map_err(|error| unreadable(&error));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&error)),
        }
        if rehearsal::is_recorded(state.path()) {
            return Ok(Some(Self::Rehearsal));
        }
        Ok(state.kubeconfig().exists().then_some(Self::Node))
    }

    /// The location of the sandbox that `up` is to make or change.
    ///
    /// # Errors
    /// [`Reason::SandboxDiffers`]: a sandbox of this name is somewhere else already.
    pub(super) fn to_use(spec: &Spec, host: &Host) -> Result<Self, Failure> {
        let wanted = Self::wanted(spec);
        let Some(recorded) = Self::recorded(&spec.name, host)? else { return Ok(wanted) };
        if recorded.is_same_as(&wanted) {
            return Ok(recorded);
        }
        Err(Failure::new(Reason::SandboxDiffers, "a sandbox of this name is somewhere else")
            .on(format!("sandbox {}", spec.name))
            .because(match &recorded {
                Self::Node => "it is in Docker on this machine".to_owned(),
                Self::Attached(place) => format!("it is in namespace {} of context {}", place.namespace, place.context),
                Self::Rehearsal => "it is a rehearsal; `--engine rehearsal` goes on with it".to_owned(),
            })
            .hint(format!("`sandbox down --name {}` removes it", spec.name))
            .hint("`--name` chooses another name, so that both can be there"))
    }

    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Attached(one), Self::Attached(other)) => {
                (&one.context, &one.namespace) == (&other.context, &other.namespace)
            }
            _ => self == other,
        }
    }
}
