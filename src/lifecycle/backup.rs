//! A sandbox's data, saved to a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::time::SystemTime;

use futures::future::try_join_all;

use super::database::Database;
use super::halt::locked;
use super::outcome::Done;
use super::storage;
use crate::backup::{FORMAT, Manifest, ObjectHead, Totals, Writer};
use crate::failure::{Failure, Reason};
use crate::files::{NewFile, Readable, scratch_beside};
use crate::kubernetes::{self, Container};
use crate::render::Component;
use crate::report::{Outcome, Stage, bytes};
use crate::run::Run;
use crate::site::{Host, Running, Site};
use crate::store::BucketAdmin;

/// Bytes of a dump that are copied at a time.
const CHUNK: usize = 256 << 10;
/// Objects between two lines of progress.
const STEP: u64 = 100;

/// Saves databases and buckets of a sandbox that runs to a file, which is written whole or not at all. Databases go
/// first: objects are only added, so all that the databases name is there when the buckets are copied.
///
/// # Errors
/// There is no such sandbox, another run is busy with it, it is a rehearsal, or [`Reason::BackupFailed`],
/// [`Reason::BackupUnwritable`].
pub async fn backup(name: &str, path: &Path, host: &Host, run: &Run) -> Result<Done, Failure> {
    let work = async {
        let saved = run.stage(Stage::Backup, async {
            let site = Site::resolve(name, None, host)?;
            if site.is_rehearsal() {
                return Err(Failure::new(Reason::Usage, "a rehearsal has no database to save")
                    .on(format!("sandbox {name}"))
                    .hint("`sandbox up` makes a sandbox that has"));
            }
            let summary = save(&site.running().await?, path, run).await?;
            Ok(((), Outcome::Passed, summary))
        });
        saved.await?;
        Ok(Done::passed(format!("the data of sandbox {name} is in {}", path.display())))
    };
    locked(name, "backup", host, work).await
}

/// What of a backup has been written to its file, with the file.
type Target = BufWriter<Whole>;

/// A file under its temporary name.
struct Whole(NewFile);

impl Write for Whole {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.file().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file().flush()
    }
}

async fn save(running: &Running, path: &Path, run: &Run) -> Result<String, Failure> {
    let unwritable = |error: io::Error| {
        Failure::new(Reason::BackupUnwritable, "cannot write the backup").on(path.display()).caused_by(error)
    };
    if path.is_dir() {
        return Err(unwritable(io::ErrorKind::IsADirectory.into()));
    }
    // Before anything is asked for: a folder that cannot be written is told at once.
    let new = NewFile::create(path, Readable::ByOwner).map_err(unwritable)?;
    let spec = &running.inventory.spec;
    let (manifest, postgres) = manifest_of(running).await?;
    let database = Database(&postgres);
    let mut dumps = Vec::new();
    for name in &manifest.databases {
        run.report.progress(Stage::Backup, format!("database {name}"));
        let mut dump = scratch_beside(path).map_err(unwritable)?;
        let size = database.dump(name, &mut dump).await?;
        dumps.push((dump, size));
    }
    let mut writer = Writer::new(BufWriter::new(Whole(new)), &manifest).map_err(unwritable)?;
    for (mut dump, size) in dumps {
        copy(&mut dump, size, &mut writer).map_err(unwritable)?;
    }
    let (store, _way) = storage::store(&running.client, spec, run.deadline).await?;
    for bucket in store.buckets().await? {
        copy_bucket(&store, &bucket, &mut writer, &unwritable, run).await?;
    }
    let (totals, file) = writer.finish().map_err(unwritable)?;
    let file = file.into_inner().map_err(|error| unwritable(error.into_error()))?;
    let size = file.0.commit().map_err(unwritable)?;
    warn_of_unfinished(&manifest, "where the backup is restored", run);
    Ok(format!("{}; {} on disk", counted(&totals), bytes(size)))
}

/// Says that executions run on in no copy of the sandbox's data.
pub(super) fn warn_of_unfinished(manifest: &Manifest, place: &str, run: &Run) {
    if manifest.unfinished > 0 {
        run.report.warn(format!("{} executions had not ended: they are aborted {place}", manifest.unfinished));
    }
}

/// What the data of a sandbox is of, and its Postgres.
pub(super) async fn manifest_of(running: &Running) -> Result<(Manifest, Container), Failure> {
    let spec = &running.inventory.spec;
    let (images, postgres) = containers(running).await?;
    let database = Database(&postgres);
    let (major, databases) = tokio::try_join!(database.major(), database.names())?;
    let unfinished = try_join_all(databases.iter().map(|name| database.unfinished(name))).await?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        sandbox: spec.name.clone(),
        projects: spec.projects.clone(),
        domains: spec.domains.iter().map(|domain| domain.id.clone()).collect(),
        bucket: spec.storage.bucket.clone(),
        images,
        kubernetes: spec.kubernetes.clone(),
        postgres: major,
        unfinished: unfinished.into_iter().sum(),
        databases,
    };
    Ok((manifest, postgres))
}

/// Such as `2 databases, 31 objects, 4 MB`.
pub(super) fn counted(totals: &Totals) -> String {
    let Totals { databases, objects, bytes: size } = totals;
    format!("{databases} databases, {objects} objects, {}", bytes(*size))
}

/// The images of what keeps data, by component, and Postgres.
async fn containers(running: &Running) -> Result<(BTreeMap<String, String>, Container), Failure> {
    let mut found = postgres_and_others(&running.client, &running.inventory.spec.system_namespace()).await?;
    let postgres = found.remove(Component::Postgres.id()).ok_or_else(no_database)?;
    let keeps = |name: &String| Component::of_id(name).is_some_and(Component::keeps_data);
    let mut images: BTreeMap<_, _> =
        found.into_iter().filter(|(name, _)| keeps(name)).map(|(name, one)| (name, one.image().to_owned())).collect();
    images.insert(Component::Postgres.id().to_owned(), postgres.image().to_owned());
    Ok((images, postgres))
}

async fn postgres_and_others(client: &kube::Client, namespace: &str) -> Result<BTreeMap<String, Container>, Failure> {
    let found = kubernetes::containers(client, namespace).await;
    found.map_err(|error| Failure::new(Reason::BackupFailed, "cannot find the database's pod").caused_by(error))
}

fn no_database() -> Failure {
    Failure::new(Reason::BackupFailed, "no pod of Postgres is ready").hint("`sandbox up` mends the sandbox")
}

/// The sandbox's Postgres, which is ready.
pub(super) async fn postgres(client: &kube::Client, namespace: &str) -> Result<Container, Failure> {
    postgres_and_others(client, namespace).await?.remove(Component::Postgres.id()).ok_or_else(no_database)
}

fn copy(dump: &mut File, size: u64, writer: &mut Writer<Target>) -> io::Result<()> {
    dump.rewind()?;
    writer.database(size)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match dump.read(&mut buffer)? {
            0 => return Ok(()),
            count => writer.content(&buffer[..count])?,
        }
    }
}

async fn copy_bucket(
    store: &BucketAdmin,
    bucket: &str,
    writer: &mut Writer<Target>,
    unwritable: &impl Fn(io::Error) -> Failure,
    run: &Run,
) -> Result<(), Failure> {
    let (mut from, mut copied) = (None, 0);
    loop {
        let page = store.list(bucket, from.as_deref()).await?;
        for key in page.keys {
            if copied % STEP == 0 {
                run.report.progress(Stage::Backup, format!("bucket {bucket}: {copied} objects"));
            }
            // One that has been deleted since it was listed is none of the bucket's.
            let Some(mut object) = store.download(bucket, &key).await? else { continue };
            let (size, content_type) = (object.size, object.content_type.take());
            let metadata = std::mem::take(&mut object.metadata);
            let head = ObjectHead { bucket: bucket.to_owned(), key, size, content_type, metadata };
            if let Some(why) = head.flaw() {
                return Err(Failure::new(Reason::BackupFailed, "an object cannot be saved").because(why));
            }
            writer.object(&head).map_err(unwritable)?;
            while let Some(bytes) = object.chunk().await? {
                writer.content(&bytes).map_err(unwritable)?;
            }
            copied += 1;
        }
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}
