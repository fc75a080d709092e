//! The content of Postgres, by its own programs in its pod: what works on any cluster, and needs no client here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::failure::{Failure, Reason};
use crate::kubernetes::{Container, ExecError};

// The server is the pod's first process: what a command leaves behind becomes its child, and it takes a child that ends by
// a signal or with an exit code above 1 for a crash of its own, and starts anew. So nothing is left behind: each command
// replaces its shell or, in a pipeline, ends with 0 or 1.
const QUERY: &str =
    r#"exec psql -X -A -t -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "$1" -c "$2" </dev/null"#;
/// A command in a pod costs more than all that these ask, so it is one.
const QUERY_EACH: &str = r#"ask() { psql -X -A -t -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "$1" -c "$2" </dev/null || exit 1; }
names=$(ask postgres "$1") || exit 1
printf '%s\n' "$names" | while IFS= read -r name; do ask "$name" "$2"; done"#;
const NAMES: &str = "select datname from pg_database where not datistemplate and datallowconn order by 1";
/// Owners and permissions are left out: their users may be others where it is loaded.
const DUMP: &str =
    r#"exec pg_dump --no-owner --no-privileges --encoding=UTF8 -U "${POSTGRES_USER:-postgres}" -d "$1" </dev/null"#;
/// As many bytes as there are: the input's end is not told by every Kubernetes. It says what it does, since the API's
/// silence ends a connection.
const LOAD: &str = r#"trap "" PIPE
head -c "$2" | (psql -X -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "$1" || exit 1)"#;
const CREATE: &str = r#"exec createdb -T template0 -E UTF8 -U "${POSTGRES_USER:-postgres}" -- "$1" </dev/null"#;
/// An execution that has not ended.
const UNFINISHED: &str = "coalesce(phase, '') not in ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT')";
/// Indexes and sequences go with their table.
const TAKE_OVER: &str = "do $$ declare name text; begin \
    for name in select tablename from pg_catalog.pg_tables where schemaname = 'sandbox_migrated' loop \
        if to_regclass(format('public.%I', name)) is null then \
            execute format('alter table sandbox_migrated.%I set schema public', name); \
        end if; \
    end loop; end $$; drop schema sandbox_migrated cascade";
/// Every table but the list of migrations; all at once, since they refer to one another. A lock that somebody holds for
/// longer is told of.
const EMPTY: &str = "set lock_timeout = '5s'; do $$ declare names text; begin \
    select string_agg(format('%I.%I', schemaname, tablename), ', ') into names from pg_catalog.pg_tables \
        where schemaname not in ('pg_catalog', 'information_schema') and schemaname not like 'pg\\_temp%' \
        and tablename <> 'migrations'; \
    if names is not null then execute 'truncate table ' || names || ' restart identity'; end if; end $$";
/// The last words of a dump that is whole.
const DUMPED: &[u8] = b"PostgreSQL database dump complete";
/// Bytes in which they are.
const TAIL: usize = 256;
/// The most bytes of a query's answer.
const ANSWER: usize = 64 << 10;
/// What a load is put between, so that one that is cut changes nothing.
const BEGIN: &[u8] = b"BEGIN;\n";
const COMMIT: &[u8] = b"\nCOMMIT;\n";
const CHUNKS: usize = 4;

/// The sandbox's Postgres.
pub(super) struct Database<'a>(pub(super) &'a Container);

impl Database<'_> {
    /// The names of all databases but templates, in order.
    pub(super) async fn names(&self) -> Result<Vec<String>, Failure> {
        Ok(self.query("postgres", NAMES).await?.lines().map(str::to_owned).collect())
    }

    /// The server's major version.
    pub(super) async fn major(&self) -> Result<u64, Failure> {
        Ok(self.number("postgres", "select current_setting('server_version_num')").await? / 10_000)
    }

    /// The number of tables in a database.
    pub(super) async fn tables(&self, database: &str) -> Result<u64, Failure> {
        let count = "select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                     where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')";
        self.number(database, count).await
    }

    /// The tables of all databases, such as `flyte_development.projects`, in the schema that programs use unless told
    /// otherwise.
    pub(super) async fn table_names(&self) -> Result<BTreeSet<String>, Failure> {
        let named =
            "select current_database() || '.' || tablename from pg_catalog.pg_tables where schemaname = 'public'";
        let command = ["sh", "-c", QUERY_EACH, "sh", NAMES, named];
        Ok(self.answer(&command, "postgres").await?.lines().map(str::to_owned).collect())
    }

    /// Makes the schema in which migrations run once more, empty.
    pub(super) async fn begin_migrated(&self, database: &str) -> Result<(), Failure> {
        let anew = "drop schema if exists sandbox_migrated cascade; create schema sandbox_migrated; \
                    create schema if not exists public";
        self.query(database, anew).await.map(|_| ())
    }

    /// Moves the tables that the migrations made in that schema and the usual one lacks over there, and removes it. The
    /// number of tables that they made.
    pub(super) async fn take_over_migrated(&self, database: &str) -> Result<u64, Failure> {
        let count = "select count(*) from pg_catalog.pg_tables where schemaname = 'sandbox_migrated'";
        let made = self.number(database, count).await?;
        self.query(database, TAKE_OVER).await?;
        Ok(made)
    }

    /// Removes every row, but of the list of migrations that were run, and begins to count anew.
    pub(super) async fn empty(&self, database: &str) -> Result<(), Failure> {
        self.query(database, EMPTY).await.map(|_| ())
    }

    /// The number of executions that have not ended; none in a database that is not admin's.
    pub(super) async fn unfinished(&self, database: &str) -> Result<u64, Failure> {
        if !self.has_executions(database).await? {
            return Ok(0);
        }
        self.number(database, &format!("select count(*) from public.executions where {UNFINISHED}")).await
    }

    /// Executions that have not ended, such as `x/d-dev/f4a2b`, 100 at most; none in a database that is not admin's.
    pub(super) async fn some_unfinished(&self, database: &str) -> Result<Vec<String>, Failure> {
        if !self.has_executions(database).await? {
            return Ok(Vec::new());
        }
        let named = "execution_project || '/' || execution_domain || '/' || execution_name";
        let query = format!("select {named} from public.executions where {UNFINISHED} order by id limit 100");
        Ok(self.query(database, &query).await?.lines().map(str::to_owned).collect())
    }

    /// When an execution changed last; [`UNIX_EPOCH`] where none has.
    pub(super) async fn last_change(&self, database: &str) -> Result<SystemTime, Failure> {
        if !self.has_executions(database).await? {
            return Ok(UNIX_EPOCH);
        }
        let last = "select coalesce(floor(extract(epoch from max(updated_at))), 0)::bigint from public.executions";
        Ok(UNIX_EPOCH + Duration::from_secs(self.number(database, last).await?))
    }

    async fn has_executions(&self, database: &str) -> Result<bool, Failure> {
        Ok(self.number(database, "select count(to_regclass('public.executions'))").await? > 0)
    }

    /// Writes a dump of a database to a file; its size in bytes.
    pub(super) async fn dump(&self, database: &str, into: &mut File) -> Result<u64, Failure> {
        let (mut size, mut tail) = (0, Vec::new());
        let keep = |bytes: &[u8]| {
            size += bytes.len() as u64;
            tail.extend_from_slice(bytes);
            tail.drain(..tail.len().saturating_sub(TAIL));
            into.write_all(bytes)
        };
        let dumped = self.0.run(&["sh", "-c", DUMP, "sh", database], keep).await;
        dumped.map_err(|error| self.failure("cannot dump the database", database, error))?;
        if !tail.windows(DUMPED.len()).any(|words| words == DUMPED) {
            let cut = io::Error::other("the dump is cut: its last line is missing");
            return Err(self.failure("cannot dump the database", database, ExecError::Output(cut)));
        }
        Ok(size)
    }

    /// Loads a dump of as many bytes into a database, which is created unless it exists: all of it, or nothing.
    pub(super) async fn load(&self, database: &str, size: u64, dump: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
        let whole = size + (BEGIN.len() + COMMIT.len()) as u64;
        let (chunks, input) = mpsc::channel(CHUNKS);
        let length = whole.to_string();
        let command = ["sh", "-c", LOAD, "sh", database, &length];
        let (loaded, ()) = tokio::join!(self.0.feed(&command, input, whole), within_transaction(dump, size, chunks));
        loaded.map_err(|error| self.failure("cannot load the database", database, error))
    }

    /// Creates a database.
    pub(super) async fn create(&self, database: &str) -> Result<(), Failure> {
        let created = self.0.run(&["sh", "-c", CREATE, "sh", database], |_| Ok(())).await;
        created.map_err(|error| self.failure("cannot create the database", database, error))
    }

    async fn number(&self, database: &str, query: &str) -> Result<u64, Failure> {
        let answer = self.query(database, query).await?;
        let unread = |_| Failure::new(Reason::BackupFailed, "cannot ask the database").on(database).because(&answer);
        answer.trim().parse().map_err(unread)
    }

    async fn query(&self, database: &str, query: &str) -> Result<String, Failure> {
        self.answer(&["sh", "-c", QUERY, "sh", database, query], database).await
    }

    /// What a command prints that asks a database.
    async fn answer(&self, command: &[&str], database: &str) -> Result<String, Failure> {
        let mut answer = Vec::new();
        let keep = |bytes: &[u8]| {
            answer.extend_from_slice(bytes);
            if answer.len() > ANSWER { Err(io::Error::other("the answer is too long")) } else { Ok(()) }
        };
        let asked = self.0.run(command, keep).await;
        asked.map_err(|error| Failure {
            reason: Reason::BackupFailed,
            ..self.failure("cannot ask the database", database, error)
        })?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn failure(&self, what: &str, database: &str, error: ExecError) -> Failure {
        if let ExecError::Output(error) = error {
            return Failure::new(Reason::BackupUnwritable, what).on(format!("database {database}")).caused_by(error);
        }
        let words = if let ExecError::Failed { words, .. } = &error { words.clone() } else { Vec::new() };
        let failure = Failure::new(Reason::BackupFailed, what).on(format!("database {database}"));
        failure.because(format!("in pod {}", self.0.pod())).caused_by(error).evidence(words)
    }
}

/// Hands a dump on between the beginning and the end of a transaction. Of one that is cut the end does not come.
async fn within_transaction(mut dump: mpsc::Receiver<Bytes>, size: u64, into: mpsc::Sender<Bytes>) {
    if into.send(Bytes::from_static(BEGIN)).await.is_err() {
        return;
    }
    let mut left = size;
    while left > 0 {
        let Some(bytes) = dump.recv().await else { return };
        left = left.saturating_sub(bytes.len() as u64);
        if into.send(bytes).await.is_err() {
            return;
        }
    }
    // Who takes it may have ended; then it says why.
    let _ = into.send(Bytes::from_static(COMMIT)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn handed_on(parts: &[&'static [u8]], size: u64) -> Vec<u8> {
        let (dump, coming) = mpsc::channel(CHUNKS);
        let (into, mut input) = mpsc::channel::<Bytes>(CHUNKS);
        let feed = async move {
            for part in parts {
                dump.send(Bytes::from_static(part)).await.expect("taken");
            }
        };
        let take = async {
            let mut all = Vec::new();
            while let Some(bytes) = input.recv().await {
                all.extend_from_slice(&bytes);
            }
            all
        };
        let (all, (), ()) = tokio::join!(take, feed, within_transaction(coming, size, into));
        all
    }

    #[tokio::test]
    async fn a_dump_that_is_cut_is_not_committed() {
        assert_eq!(handed_on(&[b"select 1;", b"select 2;"], 18).await, b"BEGIN;\nselect 1;select 2;\nCOMMIT;\n");
        assert_eq!(handed_on(&[b"select 1;"], 18).await, b"BEGIN;\nselect 1;");
    }
}
