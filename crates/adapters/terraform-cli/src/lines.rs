//! Splits bytes into lines of limited length.

/// The longest line that is kept whole, in bytes. Lines of the JSON UI of Terraform are far
/// shorter.
pub(crate) const MAX_LINE: usize = 256 * 1024;

/// Splits a stream of chunks into lines of text.
///
/// Bytes that are not UTF-8 become U+FFFD. A line that is longer than the limit is truncated and
/// marked with ` [cut]`, and the rest of it is discarded, so that the output of a child process
/// cannot exhaust the memory.
#[derive(Debug)]
pub struct LineSplitter {
    pending: Vec<u8>,
    limit: usize,
    cutting: bool,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self::with_limit(MAX_LINE)
    }
}

impl LineSplitter {
    /// Creates a splitter that keeps at most `limit` bytes of a line, and at least one.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            pending: Vec::new(),
            limit: limit.max(1),
            cutting: false,
        }
    }

    /// Adds a chunk. Returns the lines that it completed, without their line ends.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pieces = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.extend(piece);
            if pieces.peek().is_some() {
                lines.push(self.take());
            }
        }
        lines
    }

    /// Returns the last line, if the stream did not end with a line end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty() || self.cutting).then(|| self.take())
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.cutting {
            return;
        }
        let room = self.limit.saturating_sub(self.pending.len());
        if let Some(kept) = piece.get(..room).filter(|_| piece.len() > room) {
            self.pending.extend_from_slice(kept);
            self.cutting = true;
        } else {
            self.pending.extend_from_slice(piece);
        }
    }

    fn take(&mut self) -> String {
        let bytes = std::mem::take(&mut self.pending);
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if std::mem::take(&mut self.cutting) {
            text.push_str(" [cut]");
        } else if text.ends_with('\r') {
            text.pop();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests may stop at once"
    )]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_that_cut_a_line_in_two_give_one_line() {
        let mut splitter = LineSplitter::default();
        assert!(splitter.push(b"he").is_empty());
        assert_eq!(splitter.push(b"llo\r\nwor"), ["hello"]);
        assert_eq!(splitter.push(b"ld\n\n"), ["world", ""]);
        assert_eq!(splitter.finish(), None);
        splitter.push(b"tail");
        assert_eq!(splitter.finish().as_deref(), Some("tail"));
    }

    #[test]
    fn a_line_over_the_limit_is_cut_and_the_next_one_is_whole() {
        let mut splitter = LineSplitter::with_limit(4);
        assert_eq!(
            splitter.push(b"abcdefgh\nxyz\nabcd\n"),
            ["abcd [cut]", "xyz", "abcd"]
        );
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_lines_of_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
            cut in 1_usize..64,
        ) {
            let mut whole = LineSplitter::with_limit(100);
            let mut expected = whole.push(&bytes);
            expected.extend(whole.finish());
            let mut parts = LineSplitter::with_limit(100);
            let mut got = Vec::new();
            for chunk in bytes.chunks(cut) {
                got.extend(parts.push(chunk));
            }
            got.extend(parts.finish());
            prop_assert_eq!(&got, &expected);
            for line in &got {
                prop_assert!(line.len() <= 3 * 100 + 6);
                let _event = crate::parse_line(line);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(line in "\\PC*") {
            let _event = crate::parse_line(&line);
        }
    }
}
