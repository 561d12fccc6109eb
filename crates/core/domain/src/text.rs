//! Texts for people and for the commands that they paste.

/// Returns a text as one argument of a command in bash or zsh. A path that begins with `-` gets `./`
/// before it, so that no command takes it for an option.
#[must_use]
pub fn argument(text: &str) -> String {
    let text = match text.strip_prefix('-') {
        Some(_) => format!("./{text}"),
        None => text.to_owned(),
    };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@=,".contains(c);
    if text.chars().any(char::is_control) {
        // In one line: the shell replaces the escapes.
        let mut quoted = String::from("$'");
        for c in text.chars() {
            match c {
                '\'' | '\\' => quoted.extend(['\\', c]),
                c if c.is_control() => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        quoted.push_str(&format!("\\x{byte:02x}"));
                    }
                }
                c => quoted.push(c),
            }
        }
        quoted + "'"
    } else if !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('=') {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// What replaces the end of a text that is too long.
const CUT: char = '…';

/// Shortens a text to at most `limit` bytes as JSON writes it. Items and messages have limits in
/// bytes, and JSON writes some characters as six bytes. Every text without a limit of its own that a
/// record keeps passes here, where the record is made.
#[must_use]
pub fn cut(text: &str, limit: usize) -> String {
    let mut length = 0_usize;
    let mut end = None;
    for (at, c) in text.char_indices() {
        // The end of the text that leaves room for the mark.
        if length + CUT.len_utf8() <= limit {
            end = Some(at);
        }
        length += written(c);
        if length > limit {
            let (kept, _) = text.split_at(end.unwrap_or_default());
            return format!("{kept}{CUT}");
        }
    }
    text.to_owned()
}

/// Returns the number of bytes that JSON needs for a character.
fn written(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    proptest! {
        #[test]
        fn a_cut_text_fits_and_a_short_one_stays(text in "(?s).{0,200}", limit in 3_usize..300) {
            let bytes = |text: &str| serde_json::to_string(text).unwrap().len() - 2;
            let cut = cut(&text, limit);
            prop_assert!(bytes(&cut) <= limit, "{} of {limit}", bytes(&cut));
            if bytes(&text) <= limit {
                prop_assert_eq!(&cut, &text);
            } else {
                let kept = cut.strip_suffix('…').unwrap();
                prop_assert!(text.starts_with(kept));
                prop_assert!(bytes(kept) + 9 > limit, "no more is removed than needed");
            }
        }
    }

    #[test]
    fn a_shell_reads_an_argument_as_it_was() {
        assert_eq!(argument("infra/app"), "infra/app");
        assert_eq!(argument("a b's $(x)"), "'a b'\\''s $(x)'");
        assert_eq!(argument("a\nb"), "$'a\\x0ab'");
        for (text, expected) in [
            ("infra/my app", "infra/my app"),
            ("it's", "it's"),
            ("\"a\" \\ `b` $c ~ !", "\"a\" \\ `b` $c ~ !"),
            ("~/x", "~/x"),
            ("a*[b]?{c,d}", "a*[b]?{c,d}"),
            ("", ""),
            ("größe\u{85}\u{7f}f", "größe\u{85}\u{7f}f"),
            ("tab\tline\nquote'back\\", "tab\tline\nquote'back\\"),
            ("-rf", "./-rf"),
            ("=ls", "=ls"),
        ] {
            let script = format!("printf %s {}", argument(text));
            assert!(!script.contains('\n'), "{script}");
            let printed = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected);
        }
    }
}
