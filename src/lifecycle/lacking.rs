//! What is in no object and not as the spec says: projects, tables and buckets.

use kube::Client;

use super::{registration, storage, tables};
use crate::flyte::names;
use crate::kubernetes::Inventory;
use crate::limits::STATUS_LOOK;
use crate::render::Component;
use crate::report::Waiting;

/// All of it, each with the workload that lacks it. That one cannot be asked is told, too.
pub(super) async fn lacking(client: &Client, inventory: &Inventory) -> Vec<Waiting> {
    let spec = &inventory.spec;
    let (admin, minio, postgres) = tokio::join!(
        registration::due(client, spec, STATUS_LOOK),
        storage::due(client, spec, STATUS_LOOK),
        tables::due(client, spec, &inventory.tables, STATUS_LOOK),
    );
    let of = |workload: &str, due: Vec<String>| {
        let object = format!("deployment/{workload}");
        due.into_iter().map(move |reason| Waiting { object: object.clone(), reason })
    };
    of(names::ADMIN, admin).chain(of(names::MINIO, minio)).chain(of(Component::Postgres.id(), postgres)).collect()
}
