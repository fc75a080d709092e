//! Images: inspect, save, load, pull.

use std::io;
use std::time::Duration;

use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, TryStreamExt};

use super::client::Docker;
use super::error::{Error, Kind, Request};
use super::login::Login;
use super::pull::{PullEvent, PullState};
use crate::limits;
use crate::manifest::ImageRef;

/// An image the daemon has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The reference it was asked for by.
    pub reference: ImageRef,
    /// `sha256:…` of its configuration, which is what containerd calls the image id too; or of its manifest, where Docker
    /// itself keeps images in containerd.
    pub id: String,
    /// Bytes, unpacked.
    pub size: u64,
    /// The processor that it is made for, such as `amd64`; empty where the daemon does not say.
    pub architecture: String,
    /// `sha256:…` of what registries gave under its name; none where it was built or loaded here.
    pub digests: Vec<String>,
}

/// Of `repository@sha256:…` the digest.
fn digest(named: &str) -> Option<String> {
    named.split_once('@').map(|(_, digest)| digest.to_owned())
}

impl Docker {
    /// The image of this name, if the daemon has one.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn image(&self, reference: &ImageRef) -> Result<Option<Image>, Error> {
        let request = Request::Inspect(Kind::Image, reference.to_string());
        match self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_image(reference.as_str())).await {
            Ok(found) => Ok(Some(Image {
                reference: reference.clone(),
                id: found.id.unwrap_or_default(),
                architecture: found.architecture.unwrap_or_default(),
                digests: found.repo_digests.unwrap_or_default().iter().filter_map(|one| digest(one)).collect(),
                size: found.size.and_then(|bytes| bytes.try_into().ok()).unwrap_or(0),
            })),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The digests of an image's layers, unpacked, from the lowest; none where the daemon has no such image.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn layers(&self, reference: &ImageRef) -> Result<Vec<String>, Error> {
        let request = Request::Inspect(Kind::Image, reference.to_string());
        let found = self.ask(request, limits::DOCKER_REQUEST, |client| client.inspect_image(reference.as_str())).await;
        match found {
            Ok(found) => Ok(found.root_fs.and_then(|layers| layers.layers).unwrap_or_default()),
            Err(error) if error.is_absent() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Tags an image, as `docker tag` does.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn tag(&self, image: &ImageRef, name: &ImageRef) -> Result<(), Error> {
        let (repository, tag) = (name.repository(), name.tag().unwrap_or("latest"));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        let request = Request::Tag(name.to_string());
        self.ask(request, limits::DOCKER_REQUEST, |client| client.tag_image(image.as_str(), Some(options))).await
    }

    /// The archive that `docker save` makes of these images; shared layers are in it once.
    pub fn save(&self, references: &[ImageRef]) -> BoxStream<'static, Result<Bytes, Error>> {
        let names: Vec<&str> = references.iter().map(ImageRef::as_str).collect();
        self.stream(Request::Save, limits::DOCKER_SAVE, |client| client.export_images(&names))
    }

    /// Loads an archive of images, as `docker load` does, within `limit`. The daemon unpacks all of it before it takes the first
    /// image, so one that ends in an error leaves nothing.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker) with the daemon's own words.
    pub async fn load(
        &self,
        limit: Duration,
        archive: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Error> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let load = |client: &bollard::Docker| {
            let said = client.import_image(options, bollard::body_try_stream(archive), None);
            said.try_for_each(async |_| Ok(()))
        };
        self.ask(Request::Load, limit, load).await
    }

    /// Pulls an image, for a platform such as `linux/amd64` where it is another than the daemon's, with a login where its registry
    /// is to get one; `progress` gets the bytes so far and the total as far as known.
    ///
    /// # Errors
    /// A registry's reason, or [`Reason::Docker`](crate::failure::Reason::Docker), with the registry's or the daemon's own
    /// words; [`Reason::PullTimeout`](crate::failure::Reason::PullTimeout) when for a minute nothing comes.
    pub async fn pull(
        &self,
        reference: &ImageRef,
        platform: Option<&str>,
        login: Option<Login>,
        mut progress: impl FnMut(u64, Option<u64>),
    ) -> Result<(), Error> {
        // Without a tag the daemon would pull every tag there is.
        let wanted = reference.canonical();
        let options = CreateImageOptionsBuilder::default().from_image(&wanted);
        let options = platform.into_iter().fold(options, CreateImageOptionsBuilder::platform).build();
        let request = Request::Pull(reference.to_string());
        let credentials = login.map(Login::credentials);
        let mut said =
            self.stream(request, limits::DOCKER_PULL, |client| client.create_image(Some(options), None, credentials));
        let mut state = PullState::default();
        while let Some(said) = said.try_next().await? {
            let Some(event) = PullEvent::read(said) else { continue };
            state.fold(event);
            progress(state.bytes(), state.total());
        }
        Ok(())
    }
}
