//! Saved data, loaded into a sandbox that has none of its own.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use kube::Client;
use tokio::sync::mpsc;

use super::backup::{counted, postgres};
use super::database::Database;
use super::prepare::Request;
use super::storage;
use crate::backup::{Manifest, ObjectHead, Part, ReadError, Totals, check_fit, mismatch, read};
use crate::failure::Failure;
use crate::plan::Plan;
use crate::render::render;
use crate::report::{Outcome, Stage};
use crate::run::{Run, on_thread};
use crate::spec::Spec;
use crate::store::{BucketAdmin, Upload};

/// Bytes that are handed on at a time.
const CHUNK: usize = 256 << 10;
/// As many of them wait at most.
const CHUNKS: usize = 4;
/// Objects that are written at once: most are small, and Minio waits for its disk.
const AT_ONCE: usize = 8;
/// Objects between two lines of progress.
const STEP: u64 = 100;

/// A backup that was read to its end and fits.
pub(super) struct Backup {
    file: File,
    path: String,
    manifest: Manifest,
    totals: Totals,
}

/// A part of a backup on its way to where it belongs.
enum Piece {
    Database(String, u64, mpsc::Receiver<Bytes>),
    Object(ObjectHead, mpsc::Receiver<Bytes>),
}

impl Backup {
    /// Reads a backup to its end and holds it against what it is to be loaded into, as a stage.
    ///
    /// # Errors
    /// [`Reason::BackupInvalid`](crate::failure::Reason::BackupInvalid),
    /// [`Reason::BackupMismatch`](crate::failure::Reason::BackupMismatch).
    pub(super) async fn check(path: &Path, request: &Request, run: &Run) -> Result<Self, Failure> {
        run.stage(Stage::Backup, async {
            let backup = Self::open(path, run).await?;
            let Request { spec, bundle } = request.clone();
            let plan = Plan::new(spec.clone(), render(&spec, bundle)?)?;
            for warning in check_fit(&backup.manifest, &spec, &plan.data_images())? {
                run.report.warn(warning);
            }
            let Manifest { sandbox, created, .. } = &backup.manifest;
            let summary = format!("of sandbox {sandbox}, {created}: {}", counted(&backup.totals));
            Ok((backup, Outcome::Passed, summary))
        })
        .await
    }

    async fn open(path: &Path, run: &Run) -> Result<Self, Failure> {
        let (at, shown, stops) = (path.to_owned(), path.display().to_string(), run.clone());
        let checked = on_thread(move || {
            // A pipe could not be read a second time.
            if !fs::metadata(&at).map_err(ReadError::Read)?.is_file() {
                return Err(ReadError::Flaw("it is not a file".to_owned()));
            }
            let file = File::open(&at).map_err(ReadError::Read)?;
            let source = source(&file, &stops).map_err(ReadError::Read)?;
            let (manifest, totals) = read(source, |_, _| Ok(()))?;
            Ok((file, manifest, totals))
        });
        let (file, manifest, totals) = checked.await?.map_err(|error| error.failure(&shown))?;
        Ok(Self { file, path: shown, manifest, totals })
    }

    /// Loads all of it. Postgres and Minio are ready, and nobody else uses them yet.
    ///
    /// # Errors
    /// [`Reason::BackupMismatch`](crate::failure::Reason::BackupMismatch): there is data already; or
    /// [`Reason::BackupFailed`](crate::failure::Reason::BackupFailed),
    /// [`Reason::BackupInvalid`](crate::failure::Reason::BackupInvalid).
    pub(super) async fn load(&self, client: &Client, spec: &Spec, run: &Run) -> Result<(), Failure> {
        let container = postgres(client, &spec.system_namespace()).await?;
        let database = Database(&container);
        let major = database.major().await?;
        if major != self.manifest.postgres {
            return Err(mismatch(format!(
                "it is of Postgres {}, and the sandbox's is {major}",
                self.manifest.postgres
            )));
        }
        let (store, _way) = storage::store(client, spec, run.deadline).await?;
        let present = database.names().await?;
        for name in &present {
            if database.tables(name).await? > 0 {
                return Err(mismatch(format!("the sandbox's database {name} has tables already")));
            }
        }
        let mut buckets = store.buckets().await?;
        for bucket in &buckets {
            if !store.list(bucket, None).await?.keys.is_empty() {
                return Err(mismatch(format!("the sandbox's bucket {bucket} has objects already")));
            }
        }
        let source = source(&self.file, run).map_err(|error| ReadError::Read(error).failure(&self.path))?;
        let (pieces, mut coming) = mpsc::channel(1);
        let reading = on_thread(move || read(source, |part, content| hand_on(&part, content, &pieces)));
        let loading = async {
            let (mut begun, mut uploads) = (0, FuturesUnordered::new());
            loop {
                let piece = tokio::select! {
                    Some(done) = uploads.next() => {
                        done?;
                        continue;
                    }
                    piece = coming.recv(), if uploads.len() < AT_ONCE => piece,
                };
                let Some(piece) = piece else { return uploads.try_collect().await };
                match piece {
                    Piece::Database(name, size, dump) => {
                        run.report.progress(Stage::Rollout, format!("restore database {name}"));
                        if !present.contains(&name) {
                            database.create(&name).await?;
                        }
                        database.load(&name, size, dump).await?;
                    }
                    Piece::Object(head, content) => {
                        if begun % STEP == 0 {
                            let all = self.totals.objects;
                            run.report.progress(Stage::Rollout, format!("restore objects: {begun} of {all}"));
                        }
                        if !buckets.contains(&head.bucket) {
                            store.create_bucket(&head.bucket).await?;
                            buckets.push(head.bucket.clone());
                        }
                        uploads.push(upload(&store, head, content));
                        begun += 1;
                    }
                }
            }
        };
        let (read, loaded) = tokio::join!(reading, loading);
        match read? {
            // Who took the content knows why it was not wanted.
            Ok(_) | Err(ReadError::Taken(_)) => loaded,
            Err(error) => Err(error.failure(&self.path)),
        }
    }
}

async fn upload(store: &BucketAdmin, head: ObjectHead, content: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
    let ObjectHead { bucket, key, size, content_type, metadata } = &head;
    let content_type = content_type.as_deref();
    store.upload(&Upload { bucket, key, size: *size, content_type, metadata }, content).await
}

/// The file from its beginning, until the run is to end.
fn source(file: &File, run: &Run) -> io::Result<impl Read + Send + use<>> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(BufReader::new(Stoppable { file, run: run.clone() }))
}

/// Work that nobody can drop reads from this.
struct Stoppable {
    file: File,
    run: Run,
}

impl Read for Stoppable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.run.cancel.is_cancelled() || self.run.deadline.has_passed() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.file.read(buffer)
    }
}

/// Hands a part on, and its content as it is read.
fn hand_on(part: &Part<'_>, content: &mut dyn Read, pieces: &mpsc::Sender<Piece>) -> io::Result<()> {
    let (chunks, coming) = mpsc::channel(CHUNKS);
    let piece = match part {
        Part::Manifest(_) => return Ok(()),
        Part::Database { name, size } => Piece::Database((*name).to_owned(), *size, coming),
        Part::Object(head) => Piece::Object((*head).clone(), coming),
    };
    let unwanted = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    pieces.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(()),
            count => chunks.blocking_send(Bytes::copy_from_slice(&buffer[..count])).map_err(unwanted)?,
        }
    }
}
