//! The command lines of k3d 4 and 5. They differ in how a node is addressed, in flag names, and in what each does
//! unasked (k3d sources of v4.4.0 to v5.9.0).

use std::collections::BTreeMap;
use std::time::Duration;

use super::k3s_args::k3s_args;
use super::labels::OWNER_LABEL;
use crate::plan::ClusterPlan;

/// The two command lines of k3d that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 4.4.1 and later.
    V4,
    /// 5.0 and later.
    V5,
}

impl Dialect {
    /// The arguments of `k3d cluster create`.
    #[must_use]
    pub fn create(self, plan: &ClusterPlan, api_port: u16, timeout: Duration) -> Vec<String> {
        let mut args: Vec<String> = ["cluster", "create", &plan.name].map(str::to_owned).into();
        let mut flag = |name: &str, value: String| args.extend([name.to_owned(), value]);
        flag("--image", plan.node_image.to_string());
        flag("--api-port", format!("127.0.0.1:{api_port}"));
        for port in &plan.ports {
            flag("--port", format!("127.0.0.1:{}:{}@{}", port.host, port.node, self.direct_port()));
        }
        for (volume, path) in plan.mounts() {
            flag("--volume", format!("{volume}:{path}@{}", self.node()));
        }
        // Flannel's file stays through a stop: pods that start before it is written again would fail, and be tried again 12 s
        // later.
        flag("--volume", format!("/run/flannel@{}", self.node()));
        flag(self.label_flag(), format!("{OWNER_LABEL}={}@{}", plan.name, self.node()));
        for arg in k3s_args(plan) {
            match self {
                Self::V4 => flag("--k3s-server-arg", arg.to_owned()),
                Self::V5 => flag("--k3s-arg", format!("{arg}@{}", self.node())),
            }
        }
        flag("--timeout", format!("{}s", timeout.as_secs().max(1)));
        // k3d's own rollback would take the node's log with it, and is not reliable; removal is ours.
        let switches =
            ["--no-lb", "--no-rollback", "--kubeconfig-update-default=false", "--kubeconfig-switch-context=false"];
        args.extend(switches.map(str::to_owned));
        if self == Self::V4 {
            // Two containers' worth of waiting that nothing here uses; 5 cannot do without the one and has not the other.
            args.extend(["--no-hostip", "--no-image-volume"].map(str::to_owned));
        }
        args
    }

    /// Variables for `k3d cluster create`, besides those that every k3d call gets.
    #[must_use]
    pub fn create_env(self, plan: &ClusterPlan) -> BTreeMap<String, String> {
        match self {
            Self::V4 => BTreeMap::new(),
            // 5 always starts a helper container, on Linux without using it: any image that is here will do.
            Self::V5 => BTreeMap::from([("K3D_IMAGE_TOOLS".to_owned(), plan.node_image.to_string())]),
        }
    }

    const fn node(self) -> &'static str {
        match self {
            Self::V4 => "server[0]",
            Self::V5 => "server:0",
        }
    }

    const fn direct_port(self) -> &'static str {
        match self {
            Self::V4 => "server[0]",
            Self::V5 => "server:0:direct",
        }
    }

    const fn label_flag(self) -> &'static str {
        match self {
            Self::V4 => "--label",
            Self::V5 => "--runtime-label",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PortMapping;

    fn plan() -> ClusterPlan {
        ClusterPlan {
            name: "flyte".into(),
            node_image: "rancher/k3s:v1.21.2-k3s1".parse().expect("image"),
            kubernetes: (1, 21),
            ports: vec![PortMapping { host: 31081, node: 30081, purpose: "console".into() }],
            api_port: None,
            network_policies: false,
            yields: false,
            store: Some("sandbox-store-1-0".into()),
        }
    }

    #[test]
    fn k3d_4_is_spoken_to_in_its_words() {
        insta::assert_snapshot!(Dialect::V4.create(&plan(), 6550, Duration::from_secs(90)).join("\n"));
        assert!(Dialect::V4.create_env(&plan()).is_empty());
    }

    #[test]
    fn k3d_5_is_spoken_to_in_its_words() {
        insta::assert_snapshot!(Dialect::V5.create(&plan(), 6550, Duration::from_secs(90)).join("\n"));
        assert_eq!(Dialect::V5.create_env(&plan())["K3D_IMAGE_TOOLS"], "rancher/k3s:v1.21.2-k3s1");
    }

    #[test]
    fn a_node_enforces_policies_where_it_shall() {
        let told = |dialect: Dialect, network_policies| {
            let plan = ClusterPlan { network_policies, ..plan() };
            dialect.create(&plan, 6550, Duration::from_secs(90)).join("\n").contains("--disable-network-policy")
        };
        for dialect in [Dialect::V4, Dialect::V5] {
            assert_eq!((told(dialect, false), told(dialect, true)), (true, false));
        }
    }

    #[test]
    fn nothing_is_published_beyond_the_loopback_address() {
        for dialect in [Dialect::V4, Dialect::V5] {
            let args = dialect.create(&plan(), 6550, Duration::from_secs(90));
            for pair in args.windows(2).filter(|pair| ["--port", "--api-port"].contains(&pair[0].as_str())) {
                assert!(pair[1].starts_with("127.0.0.1:"), "{dialect:?} publishes {}", pair[1]);
            }
        }
    }
}
