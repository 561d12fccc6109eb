//! Detects Terraform plan files by name and by content.
//!
//! A plan file holds variables and state in plain text, so no repository may contain one.
//! `terraform plan -out` accepts any file name.

/// The signatures of the end of the central directory and of its entries.
const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
/// The sizes of both in bytes, without their variable-length fields.
const END_SIZE: usize = 22;
const ENTRY_SIZE: usize = 46;
/// The maximum length of a zip file's comment, in bytes.
const COMMENT: usize = 65_535;
/// The member that identifies a plan file.
const MEMBER: &[u8] = b"tfplan";

/// Returns whether this is a common name for a plan file.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "tfplan" || name.ends_with(".tfplan")
}

/// Returns whether these bytes are a plan file: a zip file with the member `tfplan`.
///
/// Reads only the central directory, and neither unpacks nor allocates anything. The cost is linear
/// in the number of bytes, whatever the content.
#[must_use]
pub fn is_content(bytes: &[u8]) -> bool {
    members(bytes).is_some_and(|mut names| names.any(|name| name == MEMBER))
}

/// Returns the names in a zip file's central directory, up to the first invalid entry. Returns none
/// if the bytes are not a zip file.
fn members(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let from = bytes.len().saturating_sub(END_SIZE + COMMENT);
    let tail = bytes.get(from..)?;
    let end = from + tail.windows(END.len()).rposition(|window| window == END)?;
    let size = number(bytes, end + 12, 4)?;
    let offset = number(bytes, end + 16, 4)?;
    // Counted from the end: offsets do not include bytes that precede the zip file.
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

/// Reads a little-endian number of `length` bytes.
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

    /// A central directory with these names, and its end record.
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
