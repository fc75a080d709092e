//! What runs of another day left behind, and what cannot be removed today.

use flyte_sandbox::failure::Reason;

use super::Row;
use super::docker::before;
use super::expected::fails;
use crate::standin::Failing;
use crate::support::daemon::Mishap;
use crate::support::docker::{belongings, docker, try_docker};
use crate::support::images;
use crate::support::sandbox::Sandbox;

pub(super) const ROWS: &[Row] = &[
    ("an_orphan_network_is_mended_by_up", || mended("l-net-up", network, false)),
    ("an_orphan_network_is_removed_by_down", || mended("l-net-down", network, true)),
    ("an_orphan_volume_is_mended_by_up", || mended("l-vol-up", volume, false)),
    ("an_orphan_volume_is_removed_by_down", || mended("l-vol-down", volume, true)),
    ("a_node_that_never_started_is_mended_by_up", || mended("l-new-up", unstarted, false)),
    ("a_node_that_never_started_is_removed_by_down", || mended("l-new-down", unstarted, true)),
    ("a_half_made_cluster_is_removed_by_down", || mended("l-half", half, true)),
    ("a_node_that_does_not_stay_up_is_told_and_removed_by_down", broken),
    ("a_node_without_its_network_is_removed_by_down", network_gone),
    ("a_network_of_this_name_that_is_not_k3ds_is_left_alone", foreign_network),
    ("a_container_of_others_on_our_network_stays_and_is_told", stranger),
    ("a_network_that_cannot_be_removed_is_told_by_down", network_stays),
    ("a_volume_that_cannot_be_removed_is_told_by_a_failed_up", volume_stays),
    ("a_container_that_cannot_be_removed_is_told_when_interrupted", container_stays),
];

fn network(sandbox: &Sandbox) {
    docker(&["network", "create", "--label", "app=k3d", &format!("k3d-{}", sandbox.name)]);
}

fn volume(sandbox: &Sandbox) {
    let label = format!("k3d.cluster={}", sandbox.name);
    docker(&["volume", "create", "--label", "app=k3d", "--label", &label, &format!("k3d-{}-images", sandbox.name)]);
}

fn node(sandbox: &Sandbox, command: &str) {
    let cluster = format!("k3d.cluster={}", sandbox.name);
    let owner = format!("sandbox.flyte/owner={}", sandbox.name);
    let name = sandbox.node();
    let args = [command, "--name", &name, "--network", &format!("k3d-{}", sandbox.name), "--label", "app=k3d"];
    let labels = ["--label", &cluster, "--label", &owner, "--label", "k3d.role=server"];
    docker(&[&args[..], &labels, &["--env", &format!("STANDIN_NODE={name}"), &images::name("k3s"), "server"]].concat());
}

fn unstarted(sandbox: &Sandbox) {
    network(sandbox);
    node(sandbox, "create");
}

fn half(sandbox: &Sandbox) {
    unstarted(sandbox);
    volume(sandbox);
    docker(&["start", &sandbox.node()]);
}

fn mended(name: &str, leave: fn(&Sandbox), by_down: bool) {
    let sandbox = Sandbox::failing(name, Failing::No);
    leave(&sandbox);
    assert!(!belongings(&sandbox.name).is_empty());
    if by_down {
        sandbox.run(&["down"]).exits(0).says("is gone");
        sandbox.assert_gone();
        sandbox.run(&["down"]).exits(0).says("there is no sandbox");
    } else {
        sandbox.up(&[]).exits(0);
        sandbox.run(&["down"]).exits(0);
    }
    sandbox.assert_gone();
}

fn broken() {
    let sandbox = Sandbox::failing("l-broken", Failing::No);
    half(&sandbox);
    docker(&["kill", &sandbox.node()]);
    docker(&["rm", "--force", "--volumes", &sandbox.node()]);
    let cluster = format!("k3d.cluster={}", sandbox.name);
    let owner = format!("sandbox.flyte/owner={}", sandbox.name);
    let name = sandbox.node();
    let faults = r#"STANDIN_FAULTS={"ends":["no room for a datastore",1]}"#;
    let args = ["run", "--detach", "--restart", "always", "--name", &name, "--label", &cluster, "--label", &owner];
    let network = ["--network", &format!("k3d-{}", sandbox.name), "--label", "k3d.role=server"];
    docker(&[&args[..], &network, &["--env", faults, &images::name("k3s")]].concat());
    // Between two of its lives it looks like one that runs; its next end tells.
    let ran = sandbox.up(&[]);
    assert!([Some(3), Some(5)].contains(&ran.status.code()), "{ran:?}");
    ran.says("removes");
    sandbox.run(&["down"]).exits(0).says("is gone");
    sandbox.assert_gone();
}

fn network_gone() {
    let sandbox = Sandbox::failing("l-nonet", Failing::No);
    sandbox.up(&[]).exits(0);
    let network = format!("k3d-{}", sandbox.name);
    docker(&["network", "disconnect", "--force", &network, &sandbox.node()]);
    docker(&["network", "rm", &network]);
    sandbox.run(&["status"]).says(&sandbox.name);
    sandbox.run(&["down"]).exits(0).says("is gone");
    sandbox.assert_gone();
}

fn foreign_network() {
    let sandbox = Sandbox::failing("l-theirs", Failing::No);
    let network = format!("k3d-{}", sandbox.name);
    docker(&["network", "create", &network]);
    let theirs = docker(&["network", "inspect", "--format", "{{.Id}}", &network]);
    sandbox.run(&["down"]).exits(0).says("there is no sandbox");
    assert_eq!(docker(&["network", "inspect", "--format", "{{.Id}}", &network]), theirs);
    docker(&["network", "rm", &network]);
    sandbox.assert_gone();
}

fn stranger() {
    let sandbox = Sandbox::failing("l-stranger", Failing::No);
    sandbox.up(&[]).exits(0);
    let (network, name) = (format!("k3d-{}", sandbox.name), format!("{}-stranger", sandbox.name));
    let _ = try_docker(&["rm", "--force", "--volumes", &name]);
    docker(&[
        "run",
        "--detach",
        "--name",
        &name,
        "--network",
        &network,
        "--env",
        "STANDIN_NODE=x",
        &images::name("k3s"),
    ]);
    let ran = sandbox.run(&["down", "--output", "json"]);
    let theirs = docker(&["inspect", "--format", "{{.State.Running}}", &name]);
    docker(&["rm", "--force", "--volumes", &name]);
    fails(Reason::Leftovers, "active endpoints").leaving(format!("network {network}")).told_by(&ran);
    assert_eq!(theirs, "true", "the stranger's container was touched");
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

const BUSY: &str = "device or resource busy";

fn network_stays() {
    let (sandbox, daemon) = before("l-netstays");
    sandbox.up(&[]).exits(0);
    daemon.always("DELETE /networks/", Mishap::Refused(403, BUSY));
    let left = format!("network k3d-{}", sandbox.name);
    let expected = fails(Reason::Leftovers, BUSY).leaving(&left);
    expected.told_by(&sandbox.run(&["down", "--output", "json"]));
    expected.told_by(&sandbox.run(&["down"]));
    assert_eq!(belongings(&sandbox.name), [left]);
    daemon.recovers();
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn volume_stays() {
    let (sandbox, daemon) = before("l-volstays");
    sandbox.fail(Failing::After("no such luck".to_owned()));
    daemon.always("DELETE /volumes/", Mishap::Refused(409, BUSY));
    let left = ["data", "images", "more"].map(|kind| format!("volume k3d-{}-{kind}", sandbox.name));
    let ran = sandbox.up(&[]);
    fails(Reason::K3d, "no such luck").leaving(&left[0]).leaving(&left[1]).leaving(&left[2]).told_by(&ran);
    assert_eq!(belongings(&sandbox.name), left);
    daemon.recovers();
    sandbox.fail(Failing::No);
    sandbox.up(&[]).exits(0);
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}

fn container_stays() {
    let (sandbox, daemon) = before("l-boxstays");
    daemon.always("DELETE /containers/", Mishap::Refused(500, BUSY));
    let args = sandbox.up_args(&[]);
    let mut up = sandbox.start(&args);
    up.until_stage("apply");
    up.signal(rustix::process::Signal::INT);
    let ran = up.end();
    fails(Reason::Interrupted, "").leaving(format!("container {}", sandbox.node())).told_by(&ran);
    daemon.recovers();
    sandbox.run(&["down"]).exits(0);
    sandbox.assert_gone();
}
