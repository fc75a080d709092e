//! Images: inspect, save, load, pull.

use std::io;
use std::time::Duration;

use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::client::{Docker, failed, is_absent, timely};
use super::pull::{PullEvent, PullState};
use crate::failure::{Failure, Reason};
use crate::manifest::ImageRef;

/// How long a pull may say nothing at all: the daemon tells of every half megabyte, and of every pause it makes.
const STALL: Duration = Duration::from_secs(60);

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
}

impl Docker {
    /// The image of this name, if the daemon has it.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn image(&self, reference: &ImageRef) -> Result<Option<Image>, Failure> {
        match timely(self.client.inspect_image(reference.as_str())).await {
            Ok(found) => Ok(Some(Image {
                reference: reference.clone(),
                id: found.id.unwrap_or_default(),
                architecture: found.architecture.unwrap_or_default(),
                size: found.size.and_then(|bytes| bytes.try_into().ok()).unwrap_or(0),
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed("cannot look for an image", &error).on(format!("image {reference}"))),
        }
    }

    /// Gives an image that the daemon has another name too.
    ///
    /// # Errors
    /// [`Reason::Docker`].
    pub async fn tag(&self, image: &ImageRef, name: &ImageRef) -> Result<(), Failure> {
        let (repository, tag) = (name.repository(), name.tag().unwrap_or("latest"));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        let tagged = timely(self.client.tag_image(image.as_str(), Some(options))).await;
        tagged.map_err(|error| failed("cannot name an image", &error).on(format!("image {name}")))
    }

    /// These images as one `docker save` archive, layers that they share only once.
    pub fn save(&self, references: &[ImageRef]) -> impl Stream<Item = Result<Bytes, Failure>> + Send + use<> {
        let names: Vec<&str> = references.iter().map(ImageRef::as_str).collect();
        self.client.export_images(&names).map_err(|error| failed("cannot save images out of Docker", &error))
    }

    /// Gives the daemon an archive as `docker load` does. It unpacks all of it before it takes the first image, so one
    /// that ends in an error leaves nothing.
    ///
    /// # Errors
    /// [`Reason::Docker`] with the daemon's own words.
    pub async fn load(
        &self,
        archive: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    ) -> Result<(), Failure> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let said = self.client.import_image(options, bollard::body_try_stream(archive), None);
        let ended = said.try_for_each(async |_| Ok(())).await;
        ended.map_err(|error| failed("cannot load images into Docker", &error))
    }

    /// Pulls an image, telling `progress` the bytes so far and the bytes in all as far as known.
    ///
    /// # Errors
    /// [`Reason::Docker`] with the registry's or the daemon's own words; [`Reason::PullTimeout`] when for a minute nothing
    /// comes.
    pub async fn pull(&self, reference: &ImageRef, mut progress: impl FnMut(u64, Option<u64>)) -> Result<(), Failure> {
        // Without a tag the daemon would pull every tag there is.
        let wanted = reference.canonical();
        let options = CreateImageOptionsBuilder::default().from_image(&wanted).build();
        let mut stream = std::pin::pin!(self.client.create_image(Some(options), None, None));
        let mut state = PullState::default();
        loop {
            let said = timeout(STALL, stream.next()).await.map_err(|_| {
                let failure =
                    Failure::new(Reason::PullTimeout, "cannot pull an image").on(format!("image {reference}"));
                failure.because(format!("nothing came for {} s", STALL.as_secs()))
            })?;
            let Some(said) = said else { return Ok(()) };
            let said = said.map_err(|error| failed("cannot pull an image", &error).on(format!("image {reference}")))?;
            let Some(event) = PullEvent::read(said) else { continue };
            state.fold(event);
            progress(state.bytes(), state.total());
        }
    }
}
