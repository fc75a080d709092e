//! What is asked of sandboxes, while somebody looks: once for all who do, and each sandbox beside the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::flyte::admin::Execution;
use crate::lifecycle::{self, Sight};
use crate::limits::{UI_EXECUTIONS, UI_FIRST, UI_LIST, UI_LOOK, UI_UNWATCHED};
use crate::run::on_thread;
use crate::runs::{Folder, Recorded, Summary};
use crate::site::{self, Host, Listing, Running};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_secs(2);
/// Admin is asked in every second round: it writes each question into its log.
const EXECUTIONS_EVERY: u64 = 2;
/// The newest executions of a project in a domain that are asked for.
const EXECUTIONS: usize = 20;
/// The most projects and domains that a sandbox is asked about in a round; those that were asked longest ago come first.
const PLACES: usize = 12;

/// A project and a domain.
pub(super) type Place = (String, String);

/// What is known of the machine.
#[derive(Default)]
pub(super) struct Known {
    /// Its sandboxes; absent until they are known.
    pub(super) listing: Option<Listing>,
    /// When that was.
    pub(super) at: Option<SystemTime>,
    /// Why they could not be listed, the last time.
    pub(super) unlisted: Option<String>,
    /// Those that were asked, by name.
    pub(super) sandboxes: BTreeMap<String, Asked>,
    /// The recorded runs, oldest first, each with the size of its recording.
    pub(super) runs: Vec<(u64, Summary)>,
}

/// What a sandbox answered.
#[derive(Default)]
pub(super) struct Asked {
    /// What it was seen to be, and when.
    pub(super) sight: Option<(Sight, SystemTime)>,
    /// Why it did not answer, the last time.
    pub(super) silent: Option<String>,
    /// Its newest executions, or why admin did not tell.
    pub(super) executions: BTreeMap<Place, Told>,
}

/// What admin told of a project and a domain.
pub(super) struct Told {
    pub(super) executions: Result<Vec<Execution>, String>,
    pub(super) at: Instant,
}

/// The one who asks.
pub(super) struct Live {
    host: Host,
    known: Mutex<Known>,
    /// When somebody looked last.
    looked: watch::Sender<Instant>,
    /// How many rounds have brought a listing.
    listed: watch::Sender<u64>,
}

impl Live {
    /// One who has not asked yet. Who starts it is about to look.
    pub(super) fn new(host: Host) -> Self {
        let (looked, listed) = (watch::Sender::new(Instant::now()), watch::Sender::new(0));
        Self { host, known: Mutex::default(), looked, listed }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// What is known now: at first after a moment, which most lists take.
    pub(super) async fn look<T>(&self, read: impl FnOnce(&Known) -> T) -> T {
        self.looked.send_replace(Instant::now());
        let mut listed = self.listed.subscribe();
        let _ = Deadline::fixed(UI_FIRST).limit(listed.wait_for(|rounds| *rounds > 0)).await;
        read(&self.known())
    }

    /// Asks while somebody looks; never ends.
    pub(super) async fn ask(&self) {
        let mut looked = self.looked.subscribe();
        // What takes longer than the list itself comes with the second one.
        self.list(false).await;
        for round in 0_u64.. {
            let last = *looked.borrow_and_update();
            if last.elapsed() > UI_UNWATCHED && looked.changed().await.is_err() {
                return;
            }
            tokio::join!(self.list(true), self.sandboxes(round % EXECUTIONS_EVERY == 0), self.runs());
            sleep(PAUSE).await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self, with_memory: bool) {
        let listed = within(UI_LIST, site::list(&self.host, with_memory)).await;
        {
            let mut known = self.known();
            match listed {
                Ok(listing) => {
                    // What one said before it was stopped is not what it says once it runs again.
                    let answers =
                        |name: &String| listing.sandboxes.iter().any(|one| one.name == *name && one.may_answer());
                    known.sandboxes.retain(|name, _| answers(name));
                    known.unlisted = listing.failure.as_ref().map(told);
                    known.listing = Some(listing);
                    known.at = Some(SystemTime::now());
                }
                Err(failure) => known.unlisted = Some(told(&failure)),
            }
        }
        self.listed.send_modify(|rounds| *rounds += 1);
    }

    async fn sandboxes(&self, with_executions: bool) {
        let names: Vec<_> = {
            let known = self.known();
            let listed = known.listing.iter().flat_map(|listing| &listing.sandboxes);
            listed.filter(|one| one.may_answer()).map(|one| one.name.clone()).collect()
        };
        join_all(names.iter().map(|name| self.sandbox(name, with_executions))).await;
    }

    async fn sandbox(&self, name: &str, with_executions: bool) {
        let seen = within(UI_LOOK, lifecycle::sight(name, &self.host)).await;
        let (running, mut places) = {
            let mut known = self.known();
            let asked = known.sandboxes.entry(name.to_owned()).or_default();
            match seen {
                Ok((sight, running)) => {
                    asked.silent = None;
                    asked.executions.retain(|place, _| sight.places.contains(place));
                    let places = sight.places.clone();
                    let last = |place: &Place| asked.executions.get(place).map(|told| told.at);
                    let places: Vec<_> = places.into_iter().map(|place| (last(&place), place)).collect();
                    asked.sight = Some((sight, SystemTime::now()));
                    (running, places)
                }
                Err(failure) => {
                    asked.silent = Some(told(&failure));
                    return;
                }
            }
        };
        if !with_executions {
            return;
        }
        places.sort();
        let places = places.into_iter().take(PLACES).map(|(_, place)| place);
        let _ = Deadline::fixed(UI_EXECUTIONS).limit(self.executions(name, &running, places)).await;
    }

    /// Asks about places one after another, as admin must be asked.
    async fn executions(&self, name: &str, running: &Running, places: impl Iterator<Item = Place>) {
        let Running { client, inventory, .. } = running;
        for (project, domain) in places {
            let of = (project.as_str(), domain.as_str());
            let executions = lifecycle::newest_executions(client, &inventory.spec, of, EXECUTIONS).await;
            let told = Told { executions: executions.map_err(|failure| told(&failure)), at: Instant::now() };
            if let Some(asked) = self.known().sandboxes.get_mut(name) {
                asked.executions.insert((project, domain), told);
            }
        }
    }

    /// Reads the recordings that are new or have grown.
    async fn runs(&self) {
        let (folder, before) = (Folder::of(self.host.state.path()), self.known().runs.clone());
        let read = on_thread(move || {
            let entries = folder.entries().into_iter();
            entries.filter_map(|entry| recorded(entry.id, &entry.path, &before)).collect::<Vec<_>>()
        });
        if let Ok(runs) = read.await {
            self.known().runs = runs;
        }
    }
}

fn recorded(id: String, path: &PathBuf, before: &[(u64, Summary)]) -> Option<(u64, Summary)> {
    let size = std::fs::metadata(path).ok()?.len();
    let same = before.iter().find(|(known, summary)| *known == size && summary.id == id);
    match same {
        Some(same) => Some(same.clone()),
        None => Some((size, Recorded::read(path).ok()?.summary(id))),
    }
}

/// What comes of work within a limit, or why nothing does.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let deadline = Deadline::fixed(limit);
    deadline.limit(work).await.unwrap_or_else(|| {
        Err(Failure::new(Reason::TimedOut, "there is no answer").because(deadline.expired_message()))
    })
}

/// A failure in words: what, on what, why, and what to do.
pub(super) fn told(failure: &Failure) -> String {
    let object = failure.object.iter().map(|object| format!(" ({object})"));
    let causes = failure.causes.iter().map(|cause| format!(": {cause}"));
    let hints = failure.next_steps().into_iter().map(|hint| format!("; {hint}"));
    std::iter::once(failure.what.clone()).chain(object).chain(causes).chain(hints).collect()
}
