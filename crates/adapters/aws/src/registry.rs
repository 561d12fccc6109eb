use crate::Clients;
use crate::errors::{incomplete, named, named_part};
use async_trait::async_trait;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::operation::put_image::PutImageError;
use aws_sdk_ecr::types::ImageIdentifier;
use domain::error::{ErrorName, StepError};
use domain::ids::ImageDigest;
use engine::{Registry, Result};

/// The manifest types that an image may have. Without them ECR converts the manifest to an older
/// type with another digest.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// ECR.
#[derive(Debug, Clone)]
pub struct Ecr {
    client: aws_sdk_ecr::Client,
}

/// The parts of `registry/repository`.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// The account that owns the registry; `None` if the name does not contain it.
    account: Option<&'a str>,
    repository: &'a str,
}

impl<'a> Place<'a> {
    fn of(image: &'a str) -> Result<Self> {
        match image.split_once('/') {
            Some((registry, repository)) if !repository.is_empty() => Ok(Self {
                account: registry
                    .split_once(".dkr.ecr")
                    .map(|(account, _)| account)
                    .filter(|account| {
                        account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
                    }),
                repository,
            }),
            _ => Err(StepError::new(
                ErrorName::SettingsInvalid,
                format!("image {image:?} is not `registry/repository`"),
            )),
        }
    }
}

impl Ecr {
    /// The registries of this region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: aws_sdk_ecr::Client::new(clients.config()),
        }
    }

    async fn manifest(
        &self,
        image: &str,
        place: &Place<'_>,
        digest: &ImageDigest,
    ) -> Result<(String, Option<String>)> {
        let call = format!("BatchGetImage {image}@{digest}");
        let get = self
            .client
            .batch_get_image()
            .set_registry_id(place.account.map(str::to_owned))
            .repository_name(place.repository)
            .image_ids(
                ImageIdentifier::builder()
                    .image_digest(digest.as_str())
                    .build(),
            )
            .set_accepted_media_types(Some(MANIFESTS.map(str::to_owned).to_vec()));
        let answer = get.send().await.map_err(|error| named(&call, &error))?;
        let Some(found) = answer.images().first() else {
            let failure = answer.failures().first();
            let code = failure
                .and_then(|failure| failure.failure_code())
                .map_or("ImageNotFound", |code| code.as_str());
            let reason = failure.and_then(|failure| failure.failure_reason());
            return Err(named_part(&call, code, reason.unwrap_or("no such image")));
        };
        let manifest = found
            .image_manifest()
            .ok_or_else(|| incomplete(&call, "manifest"))?;
        let media_type = found.image_manifest_media_type().map(str::to_owned);
        Ok((manifest.to_owned(), media_type))
    }
}

#[async_trait]
impl Registry for Ecr {
    async fn find(&self, image: &str, tag: &str) -> Result<Option<ImageDigest>> {
        let place = Place::of(image)?;
        let call = format!("DescribeImages {image}:{tag}");
        let describe = self
            .client
            .describe_images()
            .set_registry_id(place.account.map(str::to_owned))
            .repository_name(place.repository)
            .image_ids(ImageIdentifier::builder().image_tag(tag).build());
        let answer = match describe.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match error.as_service_error() {
                    Some(DescribeImagesError::ImageNotFoundException(_)) => Ok(None),
                    _ => Err(named(&call, &error)),
                };
            }
        };
        let Some(found) = answer.image_details().first() else {
            return Ok(None);
        };
        let digest = found
            .image_digest()
            .ok_or_else(|| incomplete(&call, "digest"))?;
        ImageDigest::parse(digest)
            .map(Some)
            .map_err(|error| named_part(&call, "unknown digest", &error.to_string()))
    }

    async fn tag(&self, image: &str, digest: &ImageDigest, tag: &str) -> Result<()> {
        let place = Place::of(image)?;
        let (manifest, media_type) = self.manifest(image, &place, digest).await?;
        let put = self
            .client
            .put_image()
            .set_registry_id(place.account.map(str::to_owned))
            .repository_name(place.repository)
            .image_manifest(manifest)
            .set_image_manifest_media_type(media_type)
            .image_tag(tag)
            .image_digest(digest.as_str());
        let Err(error) = put.send().await else {
            return Ok(());
        };
        match error.as_service_error() {
            // The image already has this tag.
            Some(PutImageError::ImageAlreadyExistsException(_)) => Ok(()),
            Some(PutImageError::ImageTagAlreadyExistsException(_))
                if self.find(image, tag).await?.as_ref() == Some(digest) =>
            {
                Ok(())
            }
            _ => Err(named(
                &format!("PutImage {image}:{tag} at {digest}"),
                &error,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_registry_and_a_repository() {
        let place = Place::of("111122223333.dkr.ecr.eu-central-1.amazonaws.com/acme/shop");
        let expected = Place {
            account: Some("111122223333"),
            repository: "acme/shop",
        };
        assert_eq!(place, Ok(expected));
        assert_eq!(
            Place::of("localhost:4566/shop").map(|place| place.account),
            Ok(None)
        );
        assert_eq!(
            Place::of("shop").map_err(|error| error.name),
            Err(ErrorName::SettingsInvalid)
        );
        assert!(Place::of("registry/").is_err());
    }
}
