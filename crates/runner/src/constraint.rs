//! Version constraints of Terraform.

/// Returns whether a version satisfies a constraint such as `>= 5.0, < 6`. False if that is not certain:
/// for a pre-release, and for everything that Terraform might read differently.
#[must_use]
pub fn allows(constraint: &str, version: &str) -> bool {
    let Some(version) = numbers(version).filter(|version| version.len() == 3) else {
        return false;
    };
    constraint
        .split(',')
        .all(|part| allows_part(part.trim(), &version))
}

fn allows_part(part: &str, version: &[u64]) -> bool {
    let start = part
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(part.len());
    let (operator, bound) = part.split_at(start);
    let Some(written) = numbers(bound).filter(|bound| bound.len() <= 3) else {
        return false;
    };
    let mut bound = written.clone();
    bound.resize(3, 0);
    let bound = bound.as_slice();
    match operator.trim_end() {
        "" | "=" => version == bound,
        "!=" => version != bound,
        ">" => version > bound,
        ">=" => version >= bound,
        "<" => version < bound,
        "<=" => version <= bound,
        // The last written number may grow, the ones before it may not.
        "~>" => match written.split_last() {
            Some((_, fixed)) if !fixed.is_empty() => version >= bound && version.starts_with(fixed),
            _ => false,
        },
        _ => false,
    }
}

/// Returns the numbers of a version without a suffix.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let parts = text.split('.');
    parts
        .map(|part| digits(part).then(|| part.parse().ok())?)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_compared_as_terraform_does() {
        for constraint in [
            "5.100.0",
            "= 5.100.0",
            "=5.100",
            "!= 5.99.0",
            ">= 5.0, < 6",
            "> 5",
            "<= 5.100.0",
            "~> 5.0",
            "~> 5.100.0",
        ] {
            assert!(allows(constraint, "5.100.0"), "{constraint}");
        }
        for constraint in [
            "",
            ",",
            "5.100.1",
            "!= 5.100.0",
            "> 5.100.0",
            "< 5.100",
            "~> 5.99.0",
            "~> 5.101",
            "~> 4.0",
            // Not certain.
            "~> 5",
            "5.100.0-beta1",
            ">= 5.0 < 6",
            "5.x",
            "5.100.0.0",
            "v5.100.0",
            "=> 5.0",
        ] {
            assert!(!allows(constraint, "5.100.0"), "{constraint}");
        }
        assert!(!allows(">= 5.0", "5.100.0-beta1"));
        assert!(!allows(">= 5.0", "5.100"));
    }

    proptest! {
        #[test]
        fn no_constraint_makes_it_panic(text in "\\PC*") {
            let _allowed = allows(&text, "5.100.0");
        }
    }
}
