//! What a container uses of the machine.

use std::collections::HashMap;

use bollard::query_parameters::StatsOptionsBuilder;
use futures::TryStreamExt;

use super::client::Docker;
use super::error::{Error, Request};
use crate::limits;

impl Docker {
    /// The memory of a running container in bytes, without what the kernel would give back at once; absent where the
    /// daemon does not say.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn memory(&self, name: &str) -> Result<Option<u64>, Error> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let request = Request::Usage(name.to_owned());
        let mut stats = self.stream(request, limits::DOCKER_REQUEST, |client| client.stats(name, Some(options)));
        let memory = stats.try_next().await?.and_then(|stats| stats.memory_stats);
        Ok(memory.and_then(|memory| Some(in_use(memory.usage?, &memory.stats.unwrap_or_default()))))
    }
}

/// As `docker stats` counts: of cgroup 1, and of cgroup 2.
fn in_use(all: u64, parts: &HashMap<String, u64>) -> u64 {
    let cached = parts.get("total_inactive_file").or(parts.get("inactive_file"));
    all.saturating_sub(cached.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::in_use;

    #[test]
    fn what_the_kernel_caches_is_not_in_use() {
        let parts = |parts: &[(&str, u64)]| parts.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect();
        assert_eq!(in_use(10, &parts(&[("total_inactive_file", 3), ("inactive_file", 1)])), 7);
        assert_eq!(in_use(10, &parts(&[("inactive_file", 1)])), 9);
        assert_eq!(in_use(10, &parts(&[])), 10);
    }
}
