//! A text after its escapes are decoded, with the places in the original text.

/// How a part of a text may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    /// `\n`, `\"`, `\u003c`: strings of JSON and of Terraform.
    Json,
    /// `$${` and `%%{`: templates of Terraform.
    Template,
    /// `%2B`: a part of a URL.
    Percent,
    /// `%2B`, and `+` for a space: a query of a URL.
    Query,
    /// `&lt;` and `&#60;`: HTML and XML.
    Html,
}

const ESCAPES: [Escapes; 5] = [
    Escapes::Json,
    Escapes::Template,
    Escapes::Percent,
    Escapes::Query,
    Escapes::Html,
];

/// How many escapes around each other are decoded, such as JSON in a string in JSON.
const DEPTH: usize = 3;

/// The bytes of a text, and for each of them, and for the end, its place in the original text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Decoded {
    /// Returns the text as it is, and as it is after each sequence of at most [`DEPTH`] decodings that
    /// changes it.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let mut all = vec![Self {
            bytes: text.as_bytes().to_vec(),
            places: (0..=text.len()).collect(),
        }];
        let mut start = 0;
        for _ in 0..DEPTH {
            let end = all.len();
            for index in start..end {
                let Some(one) = all.get(index).cloned() else {
                    continue;
                };
                for escapes in ESCAPES {
                    let decoded = one.decode(escapes);
                    if !all.contains(&decoded) {
                        all.push(decoded);
                    }
                }
            }
            start = end;
        }
        all
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the place of a byte, or of the end, in the original text.
    pub(crate) fn place(&self, index: usize) -> Option<usize> {
        self.places.get(index).copied()
    }

    fn decode(&self, escapes: Escapes) -> Self {
        let mut decoded = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            places: Vec::with_capacity(self.places.len()),
        };
        let mut at = 0;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (bytes, length) = match escaped(escapes, rest) {
                Some((Unit::Char(c), length)) => (c.to_string().into_bytes(), length),
                Some((Unit::Byte(byte), length)) => (vec![byte], length),
                None => (rest.iter().take(1).copied().collect(), 1),
            };
            let place = self.place(at).unwrap_or_default();
            decoded.places.extend(bytes.iter().map(|_| place));
            decoded.bytes.extend(bytes);
            at += length;
        }
        decoded.places.extend(self.places.last());
        decoded
    }
}

/// What an escape stands for.
enum Unit {
    Char(char),
    Byte(u8),
}

/// Returns what the escape at the start of a text stands for, and its length.
fn escaped(escapes: Escapes, rest: &[u8]) -> Option<(Unit, usize)> {
    match (escapes, rest) {
        (Escapes::Json, [b'\\', b'u', ..]) => {
            let unit = hex(rest.get(2..6)?)?;
            if let Some(c) = char::from_u32(unit) {
                return Some((Unit::Char(c), 6));
            }
            let [b'\\', b'u'] = rest.get(6..8)? else {
                return None;
            };
            let units = [unit, hex(rest.get(8..12)?)?].map(|unit| u16::try_from(unit).ok());
            let [Some(high), Some(low)] = units else {
                return None;
            };
            let c = char::decode_utf16([high, low]).next()?.ok()?;
            Some((Unit::Char(c), 12))
        }
        (Escapes::Json, [b'\\', c, ..]) => {
            let c = match c {
                b'"' | b'\\' | b'/' => *c,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                _ => return None,
            };
            Some((Unit::Byte(c), 2))
        }
        (Escapes::Template, [sign @ (b'$' | b'%'), second, b'{', ..]) if sign == second => {
            Some((Unit::Byte(*sign), 2))
        }
        (Escapes::Percent | Escapes::Query, [b'%', ..]) => {
            let byte = u8::try_from(hex(rest.get(1..3)?)?).ok()?;
            Some((Unit::Byte(byte), 3))
        }
        (Escapes::Query, [b'+', ..]) => Some((Unit::Byte(b' '), 1)),
        (Escapes::Html, [b'&', ..]) => {
            let end = rest.iter().take(12).position(|byte| *byte == b';')?;
            let name = std::str::from_utf8(rest.get(1..end)?).ok()?;
            let c = match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                _ => {
                    let number = name.strip_prefix('#')?;
                    let code = match number.strip_prefix(['x', 'X']) {
                        Some(digits) => u32::from_str_radix(digits, 16),
                        None => number.parse(),
                    };
                    char::from_u32(code.ok()?)?
                }
            };
            Some((Unit::Char(c), end + 1))
        }
        _ => None,
    }
}

/// Reads digits of base 16.
fn hex(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decodings(text: &str) -> Vec<String> {
        let all = Decoded::all(text);
        let texts = all.iter();
        texts
            .map(|one| String::from_utf8_lossy(one.bytes()).into_owned())
            .collect()
    }

    #[test]
    fn each_kind_of_escape_is_decoded_also_inside_another() {
        for (text, decoded) in [
            (r#"a\"b\\c\nd\u003c\u00e9\ud83d\ude00"#, "a\"b\\c\nd<é😀"),
            ("$${a}%%{b}", "${a}%{b}"),
            ("a%2bb%C3%A9", "a+bé"),
            ("a+b%2Bc", "a b+c"),
            ("&lt;&#34;&#x27;&amp;", "<\"'&"),
            (r#"{\"a\":\"b\\\"c\"}"#, r#"{"a":"b"c"}"#),
            (r"%5Cu003ca", "<a"),
        ] {
            let found = decodings(text);
            assert!(found.iter().any(|one| one == decoded), "{text}: {found:?}");
        }
        assert_eq!(
            decodings(r"no \q \u12 %4 & a&b;"),
            [r"no \q \u12 %4 & a&b;"]
        );
    }

    proptest! {
        #[test]
        fn places_are_in_order_and_end_with_the_text(text in "(?s).{0,20}|[\\\\u0-9a-f\"%&;+$\\{]{0,30}") {
            for one in Decoded::all(&text) {
                prop_assert_eq!(one.places.len(), one.bytes.len() + 1);
                prop_assert!(one.places.is_sorted());
                prop_assert_eq!(one.places.last(), Some(&text.len()));
            }
        }
    }
}
