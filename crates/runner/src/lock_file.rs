//! Reads the dependency lock file of a stack.

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};
use terraform_cli::Version;

/// A provider that the lock file pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The version, which is safe as the name of a directory.
    pub version: String,
    /// The hashes: `h1:` of an unpacked package, `zh:` of an archive.
    pub hashes: Vec<String>,
}

/// Returns the entry of the provider `source`, such as `registry.terraform.io/hashicorp/aws`. Returns
/// `None` if there is none, or not exactly one that can be read.
#[must_use]
pub fn pinned(text: &str, source: &str) -> Option<Pinned> {
    let body: Body = text.parse().ok()?;
    let mut entries = body.get_blocks("provider").filter(|block| {
        block
            .labels
            .first()
            .is_some_and(|label| label.as_str() == source)
    });
    let entry = entries.next()?;
    if entries.next().is_some() {
        return None;
    }
    let version = entry.body.get_attribute("version")?.value.as_str()?;
    let Expression::Array(hashes) = &entry.body.get_attribute("hashes")?.value else {
        return None;
    };
    let hashes: Option<Vec<String>> = hashes
        .iter()
        .map(|hash| hash.as_str().map(str::to_owned))
        .collect();
    Some(Pinned {
        version: Some(version).filter(|text| is_version(text))?.to_owned(),
        hashes: hashes?,
    })
}

/// Returns the providers that the lock file `after` has and `before` lacks, as `hashicorp/aws 5.100.0`.
#[must_use]
pub fn added(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (before.parse(), after.parse());
    let (before, after): (Body, Body) = (before.unwrap_or_default(), after.unwrap_or_default());
    let source = |block: &Block| block.labels.first().map(|label| label.as_str().to_owned());
    let known: Vec<String> = before.get_blocks("provider").filter_map(source).collect();
    let entries = after.get_blocks("provider").filter_map(|block| {
        let source = source(block).filter(|source| !known.contains(source))?;
        let version = block.body.get_attribute("version");
        let version = version.and_then(|version| version.value.as_str());
        let short = source.strip_prefix("registry.terraform.io/");
        let short = short.unwrap_or(&source);
        Some(format!("{short} {}", version.unwrap_or_default()))
    });
    entries.collect()
}

fn is_version(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    text.chars().all(plain) && Version::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;

    const AWS: &str = "registry.terraform.io/hashicorp/aws";

    fn lock(version: &str) -> String {
        format!(
            "# maintained by terraform\nprovider \"registry.terraform.io/hashicorp/random\" {{\n  \
             version = \"3.0.0\"\n}}\nprovider \"{AWS}\" {{\n  version     = \"{version}\"\n  \
             constraints = \"~> 5.0\"\n  hashes = [\n    \"h1:a\",\n    \"zh:b\",\n  ]\n}}\n"
        )
    }

    #[test]
    fn version_and_hashes_are_read() {
        let found = pinned(&lock("5.100.0"), AWS).unwrap();
        assert_eq!(found.version, "5.100.0");
        assert_eq!(found.hashes, ["h1:a", "zh:b"]);
        assert!(pinned(&lock("6.0.0-beta1"), AWS).is_some());
    }

    #[test]
    fn providers_that_were_added_are_named() {
        let both = lock("5.100.0");
        let aws = ["hashicorp/aws 5.100.0"];
        let random = "provider \"registry.terraform.io/hashicorp/random\" {\n}\n";
        assert_eq!(added(random, &both), aws);
        assert_eq!(added("", &both).len(), 2);
        assert_eq!(added(&both, &both), [""; 0]);
        assert_eq!(added("provider {", "provider {"), [""; 0]);
    }

    #[test]
    fn what_is_not_exactly_one_good_entry_is_none() {
        let twice = lock("5.100.0").repeat(2);
        for text in [
            "",
            "provider {",
            &twice,
            &lock("../../../../tmp"),
            &lock("1.0.0-../x"),
            &lock("1.0.0-a/b"),
            &lock("${x}"),
            "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.0.0\"\n}\n",
            "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.0.0\"\n  hashes = [1]\n}\n",
            "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.0.0\"\n  hashes = \"h1:a\"\n}\n",
        ] {
            assert_eq!(pinned(text, AWS), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_no_version_leaves_its_directory(text in "\\PC*", version in "[0-9a-z./-]{0,12}") {
            let _any = (pinned(&text, AWS), added("", &text));
            if let Some(found) = pinned(&lock(&version), AWS) {
                prop_assert!(!found.version.contains('/') && !found.version.starts_with('.'));
            }
        }
    }
}
