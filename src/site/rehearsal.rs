//! A sandbox in a cluster that a process of this program simulates.

use super::evidence::{self, EvidenceSources};
use super::host::Host;
use super::process::RehearsalProcess;
use super::running::{Running, absent};
use super::state::{Overview, Phase, Standing};
use crate::failure::{Failure, Reason};
use crate::kubernetes;
use crate::plan::Plan;
use crate::preflight;
use crate::rehearsal::Faults;
use crate::report::Outcome;
use crate::run::Run;

/// A simulated sandbox, or the place for one.
pub struct RehearsalSite<'a> {
    pub(super) name: String,
    pub(super) host: &'a Host,
    pub(super) process: Option<RehearsalProcess>,
}

/// What preflight found to make or to use.
pub struct RehearsalGround<'a> {
    site: RehearsalSite<'a>,
    faults: Faults,
    is_new: bool,
}

impl<'a> RehearsalSite<'a> {
    pub(super) fn find(name: &str, host: &'a Host) -> Self {
        Self { name: name.to_owned(), host, process: RehearsalProcess::find(&host.state.sandbox(name)) }
    }

    fn live(&self) -> Option<&RehearsalProcess> {
        self.process.as_ref().filter(|process| process.is_alive())
    }

    /// Checks that a process which is there already is as asked for, or that its ports are free.
    pub(super) fn preflight(
        self,
        plan: &Plan,
        fresh: bool,
        faults: &Faults,
        run: &Run,
    ) -> Result<(RehearsalGround<'a>, Outcome, String), Failure> {
        let is_new = self.process.is_none();
        let summary = match self.live() {
            Some(_) if fresh => "another one is simulated, and replaced".to_owned(),
            Some(live) if live.is_of(plan, faults) => "it is simulated already".to_owned(),
            Some(_) => {
                return Err(Failure::new(Reason::SandboxDiffers, "the rehearsal that is there is not as asked for")
                    .on(format!("sandbox {}", self.name))
                    .because("its ports, its Kubernetes or its faults are others")
                    .hint(format!("`sandbox down --name {}` and then `up` makes it anew", self.name)));
            }
            None => {
                let findings = preflight::rehearsal(&plan.cluster);
                findings.iter().for_each(|finding| run.report.emit(finding.event()));
                preflight::blockers(&findings)?;
                format!("{} checks", findings.len())
            }
        };
        Ok((RehearsalGround { site: self, faults: faults.clone(), is_new }, Outcome::Passed, summary))
    }

    pub(super) async fn running(&self) -> Result<Running, Failure> {
        let Some(process) = &self.process else { return Err(absent(&self.name, "there is no such sandbox")) };
        let kubeconfig = process.kubeconfig().ok_or_else(|| absent(&self.name, "the rehearsal's process has ended"))?;
        Running::on_own_cluster(&self.name, kubeconfig, self.host, true).await
    }

    pub(super) async fn overview(&self) -> Result<Overview, Failure> {
        let phase = match (&self.process, self.live()) {
            (None, _) => Phase::Absent,
            (Some(_), None) => Phase::Stopped,
            (Some(_), Some(_)) => Phase::Running(Box::new(self.running().await)),
        };
        // Which others there are only Docker knows, and a rehearsal does without it.
        let sandboxes = self.process.iter().map(|_| self.name.clone()).collect();
        Ok(Overview { phase, node_started: None, expires: None, kept_data: None, sandboxes })
    }

    /// Ends the process; absent where there is no rehearsal.
    pub(super) async fn remove(&self) -> Result<Option<String>, Failure> {
        let Some(process) = &self.process else { return Ok(None) };
        process.stop().await?;
        Ok(Some(process.pid().map_or_else(|| "the rehearsal had ended".to_owned(), |pid| format!("process {pid}"))))
    }

    pub(super) async fn evidence(self) -> Option<EvidenceSources> {
        let process = self.process.as_ref()?;
        let why = if process.is_alive() { "the sandbox is a rehearsal" } else { "the rehearsal's process has ended" };
        let secrets = evidence::secrets(self.running()).await;
        Some(sources(why, process.kubeconfig(), secrets))
    }
}

impl RehearsalGround<'_> {
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Ends the process; absent where there is no rehearsal.
    pub(super) async fn clear(&mut self) -> Result<Option<String>, Failure> {
        let removed = self.site.remove().await?;
        (self.site.process, self.is_new) = (None, true);
        Ok(removed)
    }

    pub(super) async fn running(&self) -> Option<Running> {
        self.site.running().await.ok()
    }

    /// Starts the process, unless it lives.
    pub(super) async fn stand(&self, plan: &Plan, run: &Run) -> Result<Standing, Failure> {
        let state = self.site.host.state.sandbox(&self.site.name);
        let (process, outcome) = match self.site.live() {
            Some(live) => (live.clone(), Outcome::Unchanged),
            None => {
                let program = &self.site.host.program;
                (RehearsalProcess::start(plan, self.faults.clone(), &state, program, run).await?, Outcome::Passed)
            }
        };
        let kubeconfig = process.kubeconfig().unwrap_or_default();
        state.write(&state.kubeconfig(), &kubeconfig)?;
        let client = kubernetes::client(&kubeconfig)?;
        let by = process.pid().map(|pid| format!(", played by process {pid}")).unwrap_or_default();
        Ok(Standing { client, outcome, summary: format!("Kubernetes {}{by}", plan.spec.kubernetes) })
    }

    /// Ends only when the process has ended, with the failure to report.
    pub(super) async fn watch(&self) -> Failure {
        match self.now() {
            Some(process) => process.watch().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn evidence(&self) -> EvidenceSources {
        sources("", self.now().and_then(|process| process.kubeconfig()), Vec::new())
    }

    pub(super) async fn take_back(&self) -> Result<String, Failure> {
        let removed = RehearsalSite::find(&self.site.name, self.site.host).remove().await?;
        Ok(removed.unwrap_or_else(|| "nothing to remove".to_owned()))
    }

    /// The process as it is now: [`stand`](Self::stand) may have started it.
    fn now(&self) -> Option<RehearsalProcess> {
        RehearsalProcess::find(&self.site.host.state.sandbox(&self.site.name))
    }
}

fn sources(why: &str, kubeconfig: Option<String>, secrets: Vec<String>) -> EvidenceSources {
    EvidenceSources {
        why: why.to_owned(),
        docker: Err(Failure::new(Reason::DockerAbsent, "a rehearsal has no Docker")),
        namespaces: None,
        kubeconfig,
        engine: Ok("rehearsal".to_owned()),
        secrets,
    }
}
