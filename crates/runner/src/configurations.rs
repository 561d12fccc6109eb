//! Finds out whether a stack configures a provider exactly once.
//!
//! A provider process has one configuration. Terraform starts a process for each configuration, so the
//! commands can share a process only if there is one. Every doubt counts as several: the cost is the
//! time of a few more starts.

use crate::constraint;
use domain::terraform_json;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Body};
use serde_json::Value;

/// The files of a module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its directory relative to the stack; `.` is the stack itself.
    pub dir: String,
    /// Names and texts. Files that Terraform does not read are ignored.
    pub files: Vec<(String, String)>,
}

/// Why a provider may have several configurations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct Several {
    file: String,
    what: String,
}

/// What a file says about providers.
#[derive(Default)]
struct Found {
    /// The local names of `provider` blocks, and whether each has an alias.
    blocks: Vec<(String, bool)>,
    /// The entries of `required_providers`.
    required: Vec<Required>,
}

struct Required {
    /// The local name.
    name: String,
    /// The source as written; `None` if it is not a plain text.
    source: Option<String>,
    /// Whether it expects aliased configurations.
    aliases: bool,
    /// The version constraint; empty if it is not a plain text. `None` if there is none.
    constraint: Option<String>,
}

impl Required {
    /// Returns the entry for a provider block with a version, which is an old form of a constraint.
    fn by_block(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            source: Some(name.to_owned()),
            aliases: false,
            constraint: Some(String::new()),
        }
    }
}

/// Checks that the modules of a stack use one configuration of the provider `source`, and that its
/// local name is its type, such as `aws` of `registry.terraform.io/hashicorp/aws`.
///
/// # Errors
/// [`Several`] if there are several, or if that cannot be excluded.
pub fn check_single(source: &str, modules: &[Module]) -> Result<(), Several> {
    let own = source.rsplit('/').next().unwrap_or(source);
    let mut blocks = 0;
    for module in modules {
        for (name, text) in &module.files {
            let file = if module.dir == "." {
                name.clone()
            } else {
                format!("{}/{name}", module.dir)
            };
            let several = |what: String| {
                Err(Several {
                    file: file.clone(),
                    what,
                })
            };
            let Some(found) = found(name, text) else {
                return several("it cannot be read".to_owned());
            };
            for required in &found.required {
                let name = &required.name;
                if required.aliases {
                    return several(format!("provider {name:?} has configuration_aliases"));
                }
                let Some(written) = &required.source else {
                    return several(format!("the source of provider {name:?} is not a text"));
                };
                if (full(written) == source) != (name == own) {
                    return several(format!("provider {name:?} is {written:?}"));
                }
            }
            for (name, aliased) in &found.blocks {
                if *aliased {
                    return several(format!("provider {name:?} has an alias"));
                }
                if module.dir != "." {
                    return several(format!("a module configures provider {name:?}"));
                }
                blocks += usize::from(name == own);
                if blocks > 1 {
                    return several(format!("provider {name:?} is configured again"));
                }
            }
        }
    }
    Ok(())
}

/// Returns whether a version of the provider `source` satisfies every constraint of the modules, as
/// `init` would check it. False if that is not certain.
#[must_use]
pub fn allow_version(source: &str, version: &str, modules: &[Module]) -> bool {
    let own = source.rsplit('/').next().unwrap_or(source);
    let mut files = modules.iter().flat_map(|module| &module.files);
    files.all(|(name, text)| {
        found(name, text).is_some_and(|found| {
            let of_own = found.required.iter().filter(|one| one.name == own);
            let mut constraints = of_own.filter_map(|one| one.constraint.as_deref());
            constraints.all(|constraint| constraint::allows(constraint, version))
        })
    })
}

/// Reads a file. `None` if that is not possible; empty for files that Terraform does not read.
fn found(name: &str, text: &str) -> Option<Found> {
    if name.ends_with(".tf.json") {
        of_json(text)
    } else if name.ends_with(".tf") {
        of_native(text)
    } else {
        Some(Found::default())
    }
}

/// Returns a source address with host and namespace.
fn full(source: &str) -> String {
    let source = source.to_ascii_lowercase();
    match source.split('/').count() {
        1 => format!("registry.terraform.io/hashicorp/{source}"),
        2 => format!("registry.terraform.io/{source}"),
        _ => source,
    }
}

fn of_native(text: &str) -> Option<Found> {
    let body: Body = text.parse().ok()?;
    let mut found = Found::default();
    for block in body.get_blocks("provider") {
        let name = label(block)?;
        if block.body.has_attribute("version") {
            found.required.push(Required::by_block(&name));
        }
        found.blocks.push((name, block.body.has_attribute("alias")));
    }
    for terraform in body.get_blocks("terraform") {
        for block in terraform.body.get_blocks("required_providers") {
            for attribute in block.body.attributes() {
                found
                    .required
                    .push(required(attribute.key.as_str(), &attribute.value)?);
            }
        }
    }
    Some(found)
}

fn label(block: &Block) -> Option<String> {
    Some(block.labels.first()?.as_str().to_owned())
}

fn required(name: &str, value: &Expression) -> Option<Required> {
    let mut entry = Required {
        name: name.to_owned(),
        source: Some(name.to_owned()),
        aliases: false,
        constraint: None,
    };
    match value {
        // A version constraint only; the source follows from the name.
        Expression::String(constraint) => {
            entry.constraint = Some(constraint.as_str().to_owned());
        }
        Expression::Object(fields) => {
            for (key, value) in fields {
                let key = match key {
                    ObjectKey::Ident(ident) => ident.as_str(),
                    ObjectKey::Expression(expression) => expression.as_str()?,
                };
                match key {
                    "source" => entry.source = value.expr().as_str().map(str::to_owned),
                    "configuration_aliases" => entry.aliases = true,
                    "version" => {
                        let text = value.expr().as_str().unwrap_or_default();
                        entry.constraint = Some(text.to_owned());
                    }
                    _ => {}
                }
            }
        }
        _ => return None,
    }
    Some(entry)
}

fn of_json(text: &str) -> Option<Found> {
    let root = terraform_json::parse(text.as_bytes())?;
    let mut found = Found::default();
    for (name, body) in terraform_json::labelled(root.get("provider"))? {
        let aliased = body.contains_key("alias");
        if body.contains_key("version") {
            found.required.push(Required::by_block(name));
        }
        found.blocks.push((name.to_owned(), aliased));
    }
    for terraform in terraform_json::blocks(root.get("terraform"))? {
        for block in terraform_json::blocks(terraform.get("required_providers"))? {
            for (name, value) in block {
                let source = match value {
                    Value::String(_) => Some(name.clone()),
                    Value::Object(fields) => match fields.get("source") {
                        Some(source) => source.as_str().map(str::to_owned),
                        None => Some(name.clone()),
                    },
                    _ => return None,
                };
                let aliases = value.get("configuration_aliases").is_some();
                let constraint = match value {
                    Value::String(_) => Some(value),
                    _ => value.get("version"),
                };
                let constraint = constraint.map(|text| text.as_str().unwrap_or_default());
                found.required.push(Required {
                    name: name.clone(),
                    source,
                    aliases,
                    constraint: constraint.map(str::to_owned),
                });
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AWS: &str = "registry.terraform.io/hashicorp/aws";

    fn module(dir: &str, files: &[(&str, &str)]) -> Module {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Module {
            dir: dir.to_owned(),
            files: files.iter().map(own).collect(),
        }
    }

    fn check(files: &[(&str, &str)], nested: &[(&str, &str)]) -> String {
        let modules = [module(".", files), module("m", nested)];
        match check_single(AWS, &modules) {
            Ok(()) => "one".to_owned(),
            Err(several) => several.to_string(),
        }
    }

    fn native(text: &str) -> String {
        check(&[("main.tf", text)], &[])
    }

    #[test]
    fn a_stack_with_one_configuration_of_the_provider() {
        for text in [
            "",
            "resource \"aws_sns_topic\" \"x\" {}\n",
            "provider \"aws\" {\n  region = \"eu-west-1\"\n}\nprovider \"random\" {}\n",
            "terraform {\n  required_providers {\n    aws = {\n      source = \"hashicorp/aws\"\n      version = \"5.0\"\n    }\n    random = { source = \"hashicorp/random\" }\n  }\n}\n",
            "terraform {\n  required_providers {\n    aws = { \"source\" = \"registry.terraform.io/hashicorp/AWS\" }\n  }\n}\n",
            "terraform {\n  required_providers {\n    aws = \"~> 5.0\"\n  }\n}\n",
            "locals {\n  x = <<E\nprovider \"aws\" { alias = \"no\" }\nE\n}\n# provider \"aws\" { alias = \"no\" }\n",
        ] {
            assert_eq!(native(text), "one", "{text}");
        }
        let module = "terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\" }\n  }\n}\n";
        assert_eq!(
            check(&[("main.tf", "provider \"aws\" {}\n")], &[("x.tf", module)]),
            "one"
        );
        let json = r#"{"provider":{"aws":{"region":"x"}},"terraform":[{"required_providers":{"aws":{"source":"hashicorp/aws"}}}]}"#;
        assert_eq!(
            check(&[("main.tf.json", json)], &[("README.md", "{")]),
            "one"
        );
    }

    #[test]
    fn every_other_stack_counts_as_several() {
        for (text, expected) in [
            (
                "provider \"aws\" {\n  alias = \"west\"\n}\n",
                "main.tf: provider \"aws\" has an alias",
            ),
            // Another provider's alias may be a mistake of this check. Nothing is lost but time.
            (
                "provider \"random\" {\n  alias = \"x\"\n}\n",
                "main.tf: provider \"random\" has an alias",
            ),
            (
                "provider \"aws\" {}\nprovider \"aws\" {}\n",
                "main.tf: provider \"aws\" is configured again",
            ),
            (
                "terraform {\n  required_providers {\n    amazon = { source = \"hashicorp/aws\" }\n  }\n}\n",
                "main.tf: provider \"amazon\" is \"hashicorp/aws\"",
            ),
            (
                "terraform {\n  required_providers {\n    aws = { source = \"acme/aws\" }\n  }\n}\n",
                "main.tf: provider \"aws\" is \"acme/aws\"",
            ),
            (
                "terraform {\n  required_providers {\n    aws = {\n      source = \"hashicorp/aws\"\n      configuration_aliases = [aws.west]\n    }\n  }\n}\n",
                "main.tf: provider \"aws\" has configuration_aliases",
            ),
            (
                "terraform {\n  required_providers {\n    aws = { source = local.x }\n  }\n}\n",
                "main.tf: the source of provider \"aws\" is not a text",
            ),
            (
                "terraform {\n  required_providers {\n    aws = local.x\n  }\n}\n",
                "main.tf: it cannot be read",
            ),
            ("provider \"aws\" {", "main.tf: it cannot be read"),
        ] {
            assert_eq!(native(text), expected, "{text}");
        }
        let one = "provider \"aws\" {}\n";
        assert_eq!(
            check(&[("main.tf", one), ("x_override.tf", one)], &[]),
            "x_override.tf: provider \"aws\" is configured again"
        );
        assert_eq!(
            check(&[], &[("main.tf", one)]),
            "m/main.tf: a module configures provider \"aws\""
        );
        for (text, expected) in [
            (
                r#"{"provider":{"aws":[{},{"alias":"west"}]}}"#,
                "a.tf.json: provider \"aws\" has an alias",
            ),
            (
                r#"{"provider":[{"aws":{}},{"aws":{}}]}"#,
                "a.tf.json: provider \"aws\" is configured again",
            ),
            (
                r#"{"terraform":{"required_providers":{"x":{"source":"hashicorp/aws"}}}}"#,
                "a.tf.json: provider \"x\" is \"hashicorp/aws\"",
            ),
            (
                r#"{"terraform":{"required_providers":{"aws":{"source":7}}}}"#,
                "a.tf.json: the source of provider \"aws\" is not a text",
            ),
            ("[]", "a.tf.json: it cannot be read"),
            (
                r#"{"provider":{"aws":{"alias":"west"}},"provider":{"aws":{}}}"#,
                "a.tf.json: it cannot be read",
            ),
            (
                r#"{"provider":{"aws":{"region":"a","region":"b"}}}"#,
                "a.tf.json: it cannot be read",
            ),
            (
                r#"{"provider":[{"aws":[[{"region":"a"}],[{"alias":"west"}]]}]}"#,
                "a.tf.json: provider \"aws\" has an alias",
            ),
            ("{", "a.tf.json: it cannot be read"),
        ] {
            assert_eq!(check(&[("a.tf.json", text)], &[]), expected, "{text}");
        }
    }

    #[test]
    fn a_version_must_satisfy_every_constraint_that_can_be_read() {
        let of =
            |entry: &str| format!("terraform {{\n  required_providers {{\n    {entry}\n  }}\n}}\n");
        let allow = |text: &str, nested: &str| {
            let json = r#"{"terraform":{"required_providers":{"aws":{"version":">= 5"}}}}"#;
            let modules = [
                module(".", &[("main.tf", text), ("README.md", "{")]),
                module("m", &[("x.tf.json", json), ("y.tf", nested)]),
            ];
            allow_version(AWS, "5.100.0", &modules)
        };
        for entry in [
            "aws = { source = \"hashicorp/aws\" }",
            "aws = { version = \"5.100.0\" }",
            "aws = \"~> 5.1\"",
            "random = { version = \"~> 3\" }",
        ] {
            assert!(allow(&of(entry), ""), "{entry}");
            assert!(allow("", &of(entry)), "{entry}");
        }
        for text in [
            &of("aws = { version = \"5.99.0\" }"),
            &of("aws = { version = local.x }"),
            "provider \"aws\" {\n  version = \"5.100.0\"\n}\n",
            "terraform {",
        ] {
            assert!(!allow(text, ""), "{text}");
            assert!(!allow("", text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(text in "\\PC*") {
            let _native = check(&[("a.tf", &text)], &[]);
            let _json = check(&[("a.tf.json", &text)], &[]);
        }
    }
}
