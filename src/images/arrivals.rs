//! Which images a node has, for whoever starts pods while more are on their way.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::manifest::ImageRef;

/// The images that a node has by now.
#[derive(Debug)]
pub struct Arrivals(watch::Sender<Here>);

#[derive(Debug)]
enum Here {
    Some(BTreeSet<ImageRef>),
    All,
}

impl Here {
    fn has(&self, image: &ImageRef) -> bool {
        match self {
            Self::Some(images) => images.contains(image),
            Self::All => true,
        }
    }
}

impl Arrivals {
    /// Of a node to which all are yet to come.
    #[must_use]
    pub fn expected() -> Self {
        Self(watch::Sender::new(Here::Some(BTreeSet::new())))
    }

    /// Tells that the node has these, too.
    pub(super) fn add(&self, images: impl IntoIterator<Item = ImageRef>) {
        self.0.send_modify(|here| {
            if let Here::Some(there) = here {
                there.extend(images);
            }
        });
    }

    /// Tells that the node has all that its pods start from.
    pub fn end(&self) {
        self.0.send_replace(Here::All);
    }

    /// Waits until the node has all that its pods start from.
    pub async fn all(&self) {
        self.until(|here| matches!(here, Here::All)).await;
    }

    /// Takes out those of `waiting` whose images the node has, as soon as there is one; `images` are those that one starts
    /// from. Where nothing waits there is none.
    pub async fn next<T>(&self, waiting: &mut Vec<T>, images: impl Fn(&T) -> BTreeSet<ImageRef>) -> Vec<T> {
        if waiting.is_empty() {
            return Vec::new();
        }
        let can_start = |here: &Here, one: &T| images(one).iter().all(|image| here.has(image));
        self.until(|here| waiting.iter().any(|one| can_start(here, one))).await;
        let here = self.0.borrow();
        waiting.extract_if(.., |one| can_start(&here, one)).collect()
    }

    async fn until(&self, holds: impl FnMut(&Here) -> bool) {
        // It ends only with its sender, which is here.
        let _ = self.0.subscribe().wait_for(holds).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn image(name: &str) -> ImageRef {
        name.parse().expect(name)
    }

    fn images(pod: &&str) -> BTreeSet<ImageRef> {
        pod.split_whitespace().map(image).collect()
    }

    #[tokio::test]
    async fn what_waits_is_let_go_with_the_last_of_its_images_and_once() {
        let arrivals = Arrivals::expected();
        let mut waiting = vec!["postgres:10 minio:1", "minio:1", "", "console:1"];
        assert_eq!(arrivals.next(&mut waiting, images).await, [""], "what starts from none waits for none");
        assert_eq!(arrivals.next(&mut waiting, images).now_or_never(), None);
        arrivals.add([image("postgres:10")]);
        assert_eq!(arrivals.next(&mut waiting, images).now_or_never(), None);
        let (came, ()) = tokio::join!(arrivals.next(&mut waiting, images), async { arrivals.add([image("minio:1")]) });
        assert_eq!(came, ["postgres:10 minio:1", "minio:1"]);
        assert_eq!(arrivals.all().now_or_never(), None);
        arrivals.end();
        arrivals.add([image("other:1")]);
        assert_eq!(arrivals.all().now_or_never(), Some(()), "all stay all");
        assert_eq!(arrivals.next(&mut waiting, images).await, ["console:1"]);
        assert_eq!(arrivals.next(&mut waiting, images).await, [""; 0], "nothing waits any more");
    }
}
