//! Git's packet lines: four hexadecimal digits of length, then the bytes.

use std::io::{self, Read};

/// The longest packet, including its four length digits.
const LONGEST: usize = 65_520;

/// A packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pkt {
    /// The end of a message.
    Flush,
    /// The end of a section.
    Delimiter,
    /// A line without its line end.
    Line(Vec<u8>),
}

/// Reads packets up to a total number of bytes.
pub(crate) struct PktReader<R> {
    inner: io::Take<R>,
    limit: u64,
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl<R: Read> PktReader<R> {
    pub(crate) fn new(inner: R, limit: u64) -> Self {
        Self {
            inner: inner.take(limit),
            limit,
        }
    }

    /// Returns whether the limit was reached, so that the rest was not read.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.inner.limit() == 0
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Reads a packet; `None` at the end of the stream. `binary` keeps the line end.
    pub(crate) fn next(&mut self, binary: bool) -> io::Result<Option<Pkt>> {
        let mut digits = [0_u8; 4];
        let mut filled = 0;
        while let Some(rest) = digits.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        let length = std::str::from_utf8(&digits)
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let length = match length {
            Some(0) => return Ok(Some(Pkt::Flush)),
            Some(1) => return Ok(Some(Pkt::Delimiter)),
            Some(length @ 4..=LONGEST) => length - 4,
            _ => {
                let text = String::from_utf8_lossy(&digits);
                return Err(invalid(format!("{text:?} is not a packet length")));
            }
        };
        let mut line = vec![0; length];
        self.inner.read_exact(&mut line)?;
        if !binary && line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some(Pkt::Line(line)))
    }
}

/// Appends a line.
pub(crate) fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

/// Appends the end of a message.
pub(crate) fn flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Appends the end of a section.
pub(crate) fn delimiter(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0001");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> io::Result<Vec<Pkt>> {
        let mut reader = PktReader::new(bytes, 1 << 20);
        let mut packets = Vec::new();
        while let Some(packet) = reader.next(false)? {
            packets.push(packet);
        }
        Ok(packets)
    }

    #[test]
    fn lines_come_back() {
        let mut bytes = Vec::new();
        line(&mut bytes, "version 2\n");
        delimiter(&mut bytes);
        flush(&mut bytes);
        let expected = vec![Pkt::Line(b"version 2".to_vec()), Pkt::Delimiter, Pkt::Flush];
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        assert!(all(b"000eversion").is_err());
        assert!(all(b"00").is_err());
        assert!(all(b"<htm").is_err());
        assert!(all(b"0003").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            let _ = all(&bytes).is_ok();
        }
    }
}
