use crate::Clients;
use crate::errors::{named, unbuildable};
use async_trait::async_trait;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStreamError;
use aws_sdk_s3::types::ChecksumAlgorithm;
use domain::error::{ErrorName, StepError};
use engine::{Limited, Objects, Result, Written};
use jiff::Timestamp;

/// An S3 bucket. Objects are encrypted by the bucket's default.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
}

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The id that S3 assigned.
    pub id: String,
    /// When it was written.
    pub at: Timestamp,
    /// Its size in bytes.
    pub bytes: i64,
}

impl Bucket {
    /// The bucket of this name.
    #[must_use]
    pub fn new(clients: &Clients, name: &str) -> Self {
        Self {
            client: clients.s3(),
            name: name.to_owned(),
        }
    }

    fn call(&self, operation: &str, key: &str) -> String {
        format!("{operation} s3://{}/{key}", self.name)
    }

    /// Returns the versions of an object, the newest first. At most 1,000.
    ///
    /// # Errors
    /// Those of AWS.
    pub async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>> {
        let list = self
            .client
            .list_object_versions()
            .bucket(&self.name)
            .prefix(key);
        let answer = match list.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(named(&self.call("ListObjectVersions", key), &error)),
        };
        // The prefix matches the lock beside a state too.
        let own = answer.versions.into_iter().flatten();
        Ok(own
            .filter(|version| version.key.as_deref() == Some(key))
            .map(|version| ObjectVersion {
                id: version.version_id.unwrap_or_default(),
                at: version
                    .last_modified
                    .and_then(|at| Timestamp::from_nanosecond(at.as_nanos()).ok())
                    .unwrap_or_default(),
                bytes: version.size.unwrap_or_default(),
            })
            .collect())
    }

    /// Makes an earlier version of an object its newest one, as a copy.
    ///
    /// # Errors
    /// Those of AWS.
    pub async fn restore(&self, key: &str, version: &str) -> Result<()> {
        let copy = self
            .client
            .copy_object()
            .bucket(&self.name)
            .key(key)
            .copy_source(format!("{}/{key}?versionId={version}", self.name));
        match copy.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&self.call("CopyObject", key), &error)),
        }
    }

    /// Deletes an object. Its versions stay.
    ///
    /// # Errors
    /// Those of AWS.
    pub async fn remove(&self, key: &str) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.name).key(key);
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&self.call("DeleteObject", key), &error)),
        }
    }

    /// Starts to read an object. Returns none if it does not exist.
    async fn open(&self, key: &str) -> Result<Option<GetObjectOutput>> {
        let get = self.client.get_object().bucket(&self.name).key(key);
        match get.send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_no_such_key() => Ok(None),
                _ => Err(named(&self.call("GetObject", key), &error)),
            },
        }
    }

    /// Returns the error of a body that ended early. The next attempt may read all of it.
    fn cut_off(&self, key: &str, error: &ByteStreamError) -> StepError {
        StepError {
            name: ErrorName::AwsUnavailable,
            ..unbuildable(&self.call("GetObject", key), error)
        }
    }

    fn put_object(&self, key: &str, bytes: Vec<u8>) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_tagging(domain::keys::tagging(key).map(str::to_owned))
            .body(bytes.into())
    }
}

#[async_trait]
impl Objects for Bucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let Some(answer) = self.open(key).await? else {
            return Ok(None);
        };
        let bytes = answer.body.collect().await;
        let bytes = bytes.map_err(|error| self.cut_off(key, &error))?;
        Ok(Some(bytes.to_vec()))
    }

    async fn get_limited(&self, key: &str, limit: usize) -> Result<Option<Limited>> {
        let Some(mut answer) = self.open(key).await? else {
            return Ok(None);
        };
        // Without a size, the body is read as far as the limit.
        let size = usize::try_from(answer.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if size > limit {
            return Ok(Some(Limited::TooLarge));
        }
        let mut bytes = Vec::with_capacity(size);
        while let Some(chunk) = answer.body.next().await {
            let chunk = chunk.map_err(|error| self.cut_off(key, &error))?;
            if bytes.len() + chunk.len() > limit {
                return Ok(Some(Limited::TooLarge));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(Limited::Whole(bytes)))
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        match self.put_object(key, bytes).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&self.call("PutObject", key), &error)),
        }
    }

    async fn put_if_absent(&self, key: &str, bytes: Vec<u8>) -> Result<Written> {
        let call = self.call("PutObject", key);
        match self.put_object(key, bytes).if_none_match("*").send().await {
            Ok(_) => Ok(Written::Yes),
            Err(error) => match error.code() {
                Some("PreconditionFailed") => Ok(Written::No),
                // Another write to the same key is in progress; S3 asks for a retry.
                Some("ConditionalRequestConflict") => Err(StepError {
                    name: ErrorName::RecordConflict,
                    ..named(&call, &error)
                }),
                _ => Err(named(&call, &error)),
            },
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let call = self.call("ListObjectsV2", prefix);
        let list = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| named(&call, &error))?;
            keys.extend(
                page.contents
                    .into_iter()
                    .flatten()
                    .filter_map(|object| object.key),
            );
        }
        Ok(keys)
    }

    fn bucket(&self) -> &str {
        &self.name
    }
}
