//! Arguments of `k3s server`, the same for both engines.

use super::docker_answers;
use crate::plan::ClusterPlan;

/// k3s is told to write its kubeconfig here (`K3S_KUBECONFIG_OUTPUT`), which is where k3d looks for it.
pub(super) const KUBECONFIG_PATH: &str = "/output/kubeconfig.yaml";

/// Components of k3s that are left out: Flyte uses none, and each is a pod and an image before the node is ready.
const DISABLED: &str = "--disable=traefik,servicelb,metrics-server,local-storage";

/// The flag that leaves out k3s' NetworkPolicy controller, which costs a little of every start.
pub(super) const NO_NETWORK_POLICIES: &str = "--disable-network-policy";

/// The arguments of `k3s server`, in order.
pub(super) fn k3s_args(plan: &ClusterPlan) -> impl Iterator<Item = &'static str> {
    let without = (!plan.network_policies).then_some(NO_NETWORK_POLICIES);
    let docker = docker_answers::ARGUMENTS.iter().copied().filter(|_| docker_answers::are_asked_for(plan));
    [DISABLED].into_iter().chain(without).chain(ALWAYS.iter().copied()).chain(docker)
}

const ALWAYS: &[&str] = &[
    // The kubelet tells of its readiness at its next status update, which by default is up to ten seconds away.
    "--kubelet-arg=node-status-update-frequency=1s",
    // The allocator waits ten seconds before it looks for nodes for the first time, and every other controller waits
    // for it (kubernetes `pkg/controller/nodeipam/ipam`, `nodePollInterval`). The one node gets its subnet from us.
    "--kube-controller-manager-arg=allocate-node-cidrs=false",
    // No other node can take over, so a node that was frozen or is busy is never given up, nor its pods taken for dead.
    "--kube-controller-manager-arg=node-monitor-grace-period=24h",
    // Each of some forty controllers makes its account and token with three requests, one controller after the other, and
    // 20 requests a second would be four seconds of every start, in which the node is not Ready.
    "--kube-controller-manager-arg=kube-api-qps=500",
    "--kube-controller-manager-arg=kube-api-burst=1000",
    // It tells nodes of their addresses, which the kubelet does for itself when there is none; until it has, the node is
    // tainted.
    "--disable-cloud-controller",
    // A pod that starts before the pod network and the Service addresses are there fails, or hangs on a connection that
    // left by the default route; `ready` takes this away when they are.
    "--node-taint=sandbox.flyte/starting=true:NoSchedule",
    // A developer's disk is often nearly full; the defaults would evict everything below 5 %.
    "--kubelet-arg=eviction-hard=imagefs.available<1%,nodefs.available<1%",
    "--kubelet-arg=eviction-minimum-reclaim=imagefs.available=1%,nodefs.available=1%",
    // The kubelet believes in freed space after five minutes by default, and no pod is scheduled until then.
    "--kubelet-arg=eviction-pressure-transition-period=15s",
    // The kubelet asks for every pod's configuration over one connection of 5 requests a second; fifteen pods queue up.
    "--kubelet-arg=kube-api-qps=100",
    "--kubelet-arg=kube-api-burst=200",
    // The usual 110 end at 33 projects with three domains each; the node's subnet has addresses for these.
    "--kubelet-arg=max-pods=250",
    // Rules for Services that come into being are written a second apart by default; a node that starts waits for a dozen.
    "--kube-proxy-arg=iptables-min-sync-period=100ms",
    // Imported images cannot be pulled again, so they must not be collected.
    "--kubelet-arg=image-gc-high-threshold=100",
];
