//! Images: inspect, save, load, pull.

use std::io;

use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};

use super::client::{Docker, failed, is_absent};
use super::pull::{PullEvent, PullState};
use crate::failure::Failure;
use crate::manifest::ImageRef;

/// An image the daemon has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The reference it was asked for by.
    pub reference: ImageRef,
    /// `sha256:…` of its configuration, which is what containerd calls the image id too.
    pub id: String,
    /// Bytes, unpacked.
    pub size: u64,
}

impl Docker {
    /// The image of this name, if the daemon has it.
    ///
    /// # Errors
    /// [`Reason::Docker`](crate::failure::Reason::Docker).
    pub async fn image(&self, reference: &ImageRef) -> Result<Option<Image>, Failure> {
        match self.client.inspect_image(reference.as_str()).await {
            Ok(found) => Ok(Some(Image {
                reference: reference.clone(),
                id: found.id.unwrap_or_default(),
                size: found.size.and_then(|bytes| bytes.try_into().ok()).unwrap_or(0),
            })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed("cannot look for an image", &error).on(format!("image {reference}"))),
        }
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
    /// [`Reason::Docker`](crate::failure::Reason::Docker) with the daemon's own words.
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
    /// [`Reason::Docker`](crate::failure::Reason::Docker) with the registry's or the daemon's own words.
    pub async fn pull(&self, reference: &ImageRef, mut progress: impl FnMut(u64, Option<u64>)) -> Result<(), Failure> {
        // Without a tag the daemon would pull every tag there is.
        let wanted = reference.canonical();
        let options = CreateImageOptionsBuilder::default().from_image(&wanted).build();
        let mut stream = std::pin::pin!(self.client.create_image(Some(options), None, None));
        let mut state = PullState::default();
        while let Some(said) = stream.next().await {
            let said = said.map_err(|error| failed("cannot pull an image", &error).on(format!("image {reference}")))?;
            let (Some(layer), Some(detail)) = (said.id, said.progress_detail) else { continue };
            let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
            let Some(current) = number(detail.current) else { continue };
            state.fold(PullEvent { layer, current, total: number(detail.total) });
            progress(state.bytes(), state.total());
        }
        Ok(())
    }
}
