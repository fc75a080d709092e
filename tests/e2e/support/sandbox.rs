//! One sandbox to drive, and the guard that leaves nothing of it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::desk::Desk;
use super::docker::{self, docker, try_docker};
use super::ground::{Ground, Major, Wish};
use super::images;
use super::ran::Ran;
use crate::standin::{Failing, Faults, Part};

/// Set to anything, it says that others make and remove things on this daemon while the tests run.
const SHARED: &str = "SANDBOX_E2E_SHARED";

/// A sandbox's surroundings, and things of others beside it that must not be touched.
pub(crate) struct Sandbox {
    desk: Desk,
    pub(crate) ground: Ground,
    others: BTreeMap<String, String>,
    stores: Vec<String>,
}

impl Deref for Sandbox {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl DerefMut for Sandbox {
    fn deref_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }
}

impl Sandbox {
    /// With a name and ports of its own.
    pub(crate) fn new(name: &str, ground: &Ground) -> Self {
        let mut desk = Desk::new(name);
        docker::remove_belongings(&[&desk.name, &other(&desk.name), &format!("{}-spare", desk.name)]);
        desk.docker_host.clone_from(&ground.docker_host);
        if let Some(k3d) = &ground.k3d {
            desk.link_k3d(k3d);
            desk.write("sandbox.yaml", desk.bare_spec());
        }
        let stores = docker::stores();
        let mut sandbox = Self { desk, ground: ground.clone(), others: BTreeMap::new(), stores };
        if !ground.is_real() {
            sandbox.fail(Failing::No);
        }
        sandbox.add_bystanders();
        sandbox.others = docker::others(&sandbox.name);
        sandbox
    }

    /// On stand-ins, for a k3d that fails like this.
    pub(crate) fn failing(name: &str, failing: Failing) -> Self {
        let sandbox = Self::new(name, &Ground::find(Wish::StandIn, Major::Five));
        sandbox.fail(failing);
        sandbox
    }

    /// On stand-ins, with a node that has these faults.
    pub(crate) fn faulty(name: &str, node: Faults) -> Self {
        let sandbox = Self::new(name, &Ground::find(Wish::StandIn, Major::Five));
        sandbox.play(&Part { node, ..sandbox.part() });
        sandbox
    }

    /// Puts a stand-in of k3d in the place of whichever is there.
    pub(crate) fn fail(&self, failing: Failing) {
        assert!(!self.ground.is_real(), "only a stand-in can be told to fail");
        self.play(&Part { failing, ..self.part() });
    }

    fn part(&self) -> Part {
        Part { version: self.ground.major.version().to_owned(), ..Part::default() }
    }

    pub(crate) fn node(&self) -> String {
        format!("k3d-{}-server-0", self.name)
    }

    /// The node container's id.
    pub(crate) fn node_id(&self) -> String {
        docker(&["inspect", "--format", "{{.Id}}", &self.node()])
    }

    /// Makes the node that runs have these faults from now on.
    pub(crate) fn spoil(&self, faults: &Faults) {
        let file = self.path("faults.json");
        faults.write(&file);
        docker(&["cp", &file.to_string_lossy(), &format!("{}:{}", self.node(), Faults::FILE)]);
    }

    /// `up` and its flags. A store made of stand-ins would only take the place of a real one.
    pub(crate) fn up(&self, more: &[&str]) -> Ran {
        self.run(&self.up_args(more))
    }

    pub(crate) fn up_args<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["up", "--output", "json"];
        if !self.ground.is_real() {
            args.push("--no-cache");
        }
        args.extend(more);
        args
    }

    /// Holds that nothing of the sandbox is left, on the daemon or in its folder, and that nothing else was touched.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert_eq!(docker::belongings(&self.name), Vec::<String>::new());
        self.assert_others_untouched();
        self.assert_no_state();
    }

    #[track_caller]
    pub(crate) fn assert_others_untouched(&self) {
        let now = docker::others(&self.name);
        // Other tests make and remove things of their own; where others use the daemon too, only what was put there to
        // look like this sandbox's own is held.
        let shared = std::env::var_os(SHARED).is_some();
        let bystander = format!("k3d-{}", other(&self.name));
        let of_a_test = |key: &str| key.contains("e2e-");
        let held = self.others.iter().filter(|(key, _)| key.contains(&bystander) || !shared && !of_a_test(key));
        let changed: Vec<_> = held.filter(|(key, what)| now.get(*key) != Some(what)).collect();
        assert!(changed.is_empty(), "not this sandbox's, and changed or gone: {changed:?}");
    }

    /// Things of others that look like this sandbox's.
    fn add_bystanders(&self) {
        let image = match self.ground.is_real() {
            // Not just any: another test's own could not be removed by it then.
            true => {
                let nodes = docker(&["image", "ls", "--quiet", "--filter", "reference=rancher/k3s"]);
                nodes.lines().next().expect("the real node image").to_owned()
            }
            false => images::name("k3s"),
        };
        let other = other(&self.name);
        let label = format!("k3d.cluster={other}");
        docker(&[
            "create",
            "--name",
            &format!("k3d-{other}-server-0"),
            "--label",
            &label,
            "--label",
            "app=k3d",
            &image,
            "x",
        ]);
        docker(&["network", "create", "--label", "app=k3d", &format!("k3d-{other}")]);
        docker(&["volume", "create", "--label", &label, &format!("k3d-{other}-images")]);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let spares = ["spare", "spare-2"].map(|spare| format!("{}-{spare}", self.name));
        docker::remove_belongings(&[&self.name, &other(&self.name), &spares[0], &spares[1]]);
        if !self.ground.is_real() {
            for store in docker::stores().iter().filter(|store| !self.stores.contains(store)) {
                let _ = try_docker(&["volume", "rm", store]);
            }
        }
    }
}

/// The name of the cluster beside it.
fn other(name: &str) -> String {
    format!("{name}-other")
}

/// Whether a container of this name runs.
pub(crate) fn is_running(container: &str) -> bool {
    try_docker(&["inspect", "--format", "{{.State.Running}}", container]).is_ok_and(|state| state == "true")
}
