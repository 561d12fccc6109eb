//! The attributes of an object that matter to the pipeline: those that identify it, with the ids with
//! which Terraform imports it, and those that a deployment sets.

use crate::outputs::OutputValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The attributes of an object. Has no `Debug`, because they may be sensitive.
#[derive(Default, Deserialize)]
pub struct Attributes {
    #[serde(default)]
    id: Option<Text>,
    #[serde(default)]
    arn: Option<Text>,
    #[serde(default)]
    bucket: Option<Text>,
    #[serde(default)]
    function_name: Option<Text>,
    #[serde(default)]
    name: Option<Text>,
    #[serde(default)]
    url: Option<Text>,
    /// Of an ECS service.
    #[serde(default)]
    task_definition: OutputValue,
    /// Of an ECS service.
    #[serde(default)]
    desired_count: OutputValue,
}

/// An attribute that may be of another type in some resource. A value of another type is read past,
/// and not kept.
enum Text {
    Text(String),
    Other,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('"') {
            return Ok(Self::Other);
        }
        // The text of the error may quote a value.
        let text = serde_json::from_str(raw.get());
        text.map(Self::Text)
            .map_err(|_| D::Error::custom("not a text"))
    }
}

impl Attributes {
    /// Returns the object's id in the state.
    pub(super) fn id(&self) -> Option<&str> {
        text(self.id.as_ref())
    }

    /// Returns what identifies the object: its id, and its ARN if it has one. The id alone may be that
    /// of the next object too: for an ECS task definition it is the family.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        let id = self.id()?;
        Some(match text(self.arn.as_ref()) {
            Some(arn) => format!("{id} {arn}"),
            None => id.to_owned(),
        })
    }

    /// Returns the object's name.
    pub(super) fn name(&self) -> Option<&str> {
        text(self.name.as_ref())
    }

    /// Returns the task definition of an ECS service.
    pub(super) fn task_definition(&self) -> &OutputValue {
        &self.task_definition
    }

    /// Returns the number of tasks of an ECS service.
    pub(super) fn desired_count(&self) -> &OutputValue {
        &self.desired_count
    }

    /// Returns the id that imports an object of this type, or none if it is not known. The
    /// documentation of each type names the attribute.
    pub(super) fn import_id(&self, resource_type: &str) -> Option<&str> {
        let attribute = match resource_type {
            "terraform_data" | "aws_vpc" | "aws_subnet" | "aws_security_group" => &self.id,
            "aws_cloudwatch_log_group"
            | "aws_dynamodb_table"
            | "aws_ecr_repository"
            | "aws_iam_role"
            | "aws_iam_user"
            | "aws_ssm_parameter" => &self.name,
            "aws_iam_policy" | "aws_sns_topic" | "aws_sfn_state_machine" => &self.arn,
            "aws_lambda_function" => &self.function_name,
            "aws_s3_bucket" => &self.bucket,
            "aws_sqs_queue" => &self.url,
            _ => return None,
        };
        text(attribute.as_ref()).filter(|id| !id.is_empty())
    }
}

fn text(attribute: Option<&Text>) -> Option<&str> {
    match attribute {
        Some(Text::Text(text)) => Some(text),
        Some(Text::Other) | None => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn import_id(resource_type: &str, attributes: &str) -> Option<String> {
        let attributes: Attributes = serde_json::from_str(attributes).unwrap();
        attributes.import_id(resource_type).map(str::to_owned)
    }

    const ALL: &str = r#"{"id":"i","arn":"a","bucket":"b","function_name":"f","name":"n","url":"u",
        "tags":{"name":"x"}}"#;

    #[test]
    fn each_type_is_imported_by_its_own_attribute() {
        for (resource_type, expected) in [
            ("terraform_data", Some("i")),
            ("aws_vpc", Some("i")),
            ("aws_subnet", Some("i")),
            ("aws_security_group", Some("i")),
            ("aws_cloudwatch_log_group", Some("n")),
            ("aws_dynamodb_table", Some("n")),
            ("aws_ecr_repository", Some("n")),
            ("aws_iam_role", Some("n")),
            ("aws_iam_user", Some("n")),
            ("aws_ssm_parameter", Some("n")),
            ("aws_iam_policy", Some("a")),
            ("aws_sns_topic", Some("a")),
            ("aws_sfn_state_machine", Some("a")),
            ("aws_lambda_function", Some("f")),
            ("aws_s3_bucket", Some("b")),
            ("aws_sqs_queue", Some("u")),
            ("aws_instance", None),
        ] {
            assert_eq!(
                import_id(resource_type, ALL).as_deref(),
                expected,
                "{resource_type}"
            );
        }
    }

    #[test]
    fn an_attribute_that_is_not_a_text_gives_no_id() {
        assert_eq!(import_id("aws_sqs_queue", r#"{"url":null}"#), None);
        assert_eq!(import_id("aws_sqs_queue", r#"{"url":["u"]}"#), None);
        assert_eq!(import_id("aws_sqs_queue", r#"{"url":""}"#), None);
        assert_eq!(import_id("aws_sqs_queue", r#"{"id":"i"}"#), None);
    }
}
