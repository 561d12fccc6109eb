//! Plan files of terraform, known by their names and by their content.
//!
//! A plan holds variables and the state in clear, so none may lie in a repository; `terraform plan
//! -out` takes any name for it.

/// How the central directory's end, and each of its entries, begins.
const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
/// Bytes of both without the texts that follow them.
const END_SIZE: usize = 22;
const ENTRY_SIZE: usize = 46;
/// The longest comment at a zip's end.
const COMMENT: usize = 65_535;
/// The member that makes a zip a plan.
const MEMBER: &[u8] = b"tfplan";

/// Whether people give this name to plan files.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "tfplan" || name.ends_with(".tfplan")
}

/// Whether this is the content of a plan file: a zip with a member `tfplan`.
///
/// It reads nothing but the zip's table of contents, unpacks nothing and allocates nothing:
/// whatever the bytes say, it costs no more than one look at each of them.
#[must_use]
pub fn is_content(bytes: &[u8]) -> bool {
    members(bytes).is_some_and(|mut names| names.any(|name| name == MEMBER))
}

/// The names in a zip's table of contents, as far as it can be read; none for what is no zip.
fn members(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let from = bytes.len().saturating_sub(END_SIZE + COMMENT);
    let tail = bytes.get(from..)?;
    let end = from + tail.windows(END.len()).rposition(|window| window == END)?;
    let size = number(bytes, end + 12, 4)?;
    let offset = number(bytes, end + 16, 4)?;
    // Counted back from the end: something may stand before the zip, and offsets do not know it.
    let start = end.checked_sub(size).unwrap_or(offset);
    let mut rest = bytes.get(start..end)?;
    Some(std::iter::from_fn(move || {
        if !rest.starts_with(ENTRY) {
            return None;
        }
        let name = number(rest, 28, 2)?;
        let more = number(rest, 30, 2)? + number(rest, 32, 2)?;
        let found = rest.get(ENTRY_SIZE..ENTRY_SIZE + name)?;
        rest = rest.get(ENTRY_SIZE + name + more..)?;
        Some(found)
    }))
}

/// A number of so many bytes, the smallest first.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let digits = bytes.get(at..at.checked_add(length)?)?;
    Some(
        digits
            .iter()
            .rev()
            .fold(0, |number, digit| number << 8 | usize::from(*digit)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;

    /// A table of contents with these names, and what ends it.
    fn zip(before: &[u8], names: &[&str], comment: &[u8]) -> Vec<u8> {
        let mut table = Vec::new();
        for name in names {
            let mut entry = vec![0; ENTRY_SIZE];
            entry.splice(..4, ENTRY.iter().copied());
            entry.splice(28..30, u16::try_from(name.len()).unwrap().to_le_bytes());
            entry.splice(30..32, 3_u16.to_le_bytes());
            entry.extend_from_slice(name.as_bytes());
            entry.extend_from_slice(b"xtr");
            table.extend_from_slice(&entry);
        }
        let mut end = vec![0; END_SIZE];
        end.splice(..4, END.iter().copied());
        end.splice(12..16, u32::try_from(table.len()).unwrap().to_le_bytes());
        end.splice(16..20, u32::try_from(before.len()).unwrap().to_le_bytes());
        [before, &table, &end, comment].concat()
    }

    #[test]
    fn plans_are_known_by_the_names_that_people_give_them() {
        for name in ["tfplan", "TFPLAN", "prod.tfplan", "a.TfPlan", ".tfplan"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["tfplan.md", "mytfplan", "plan.out", ""] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_plan_is_a_zip_with_one_certain_member_wherever_it_stands() {
        assert!(is_content(&zip(b"", &["tfplan"], b"")));
        let many = ["tfstate", "tfconfig/modules.json", "tfplan"];
        assert!(is_content(&zip(b"#!/bin/sh\n", &many, b"made by hand")));
        for other in [
            zip(b"tfplan", &["bin/tfplan", "tfplan/a", "tfplan2"], b"tfplan"),
            zip(b"", &[], b""),
            b"tfplan".to_vec(),
            Vec::new(),
        ] {
            assert!(!is_content(&other), "{other:?}");
        }
        let cut = zip(b"", &["tfstate", "tfplan"], b"");
        assert!(!is_content(cut.get(..cut.len() - END_SIZE).unwrap()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200),
                                at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            prop_assert!(!is_content(&bytes));
            let mut bad = zip(&bytes, &["tfstate", "tfplan"], b"");
            let at = at.index(bad.len());
            if let Some(there) = bad.get_mut(at) {
                *there = byte;
            }
            let _ = is_content(&bad);
        }
    }
}
