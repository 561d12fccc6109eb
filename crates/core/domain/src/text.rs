//! Texts for people and for the commands that they paste.

/// Returns whether a terminal or a browser acts on the character instead of showing it: a control
/// character, a line separator, or one that changes the direction of the text or is invisible.
/// Joiners stay: Persian, Indic scripts and emoji need them.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Removes the escape sequences of terminals, and replaces each other character that a terminal or a
/// browser would act on with a space. The result is one line.
#[must_use]
pub fn inert(text: &str) -> String {
    inert_except(text, None)
}

fn inert_except(text: &str, kept: Option<char>) -> String {
    anstream::adapter::strip_str(text)
        .flat_map(str::chars)
        .map(|c| {
            if kept != Some(c) && is_active(c) {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// Like [`inert`], but keeps line breaks. `\r\n` becomes `\n`.
#[must_use]
pub fn inert_lines(text: &str) -> String {
    inert_except(&text.replace("\r\n", "\n"), Some('\n'))
}

/// Escapes what a terminal would act on in a JSON text. A parser reads the same value.
#[must_use]
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_active(c) {
            escaped.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

/// Returns at most `limit` characters. A text that is cut ends in `…`.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    if text.chars().nth(limit).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Returns the text as one inert line of at most `limit` characters, with single spaces.
#[must_use]
pub fn line(text: &str, limit: usize) -> String {
    let text = inert(text);
    clip(
        &text.split_whitespace().collect::<Vec<_>>().join(" "),
        limit,
    )
}

/// Shortens each word of more than `limit` characters, such as a path, in its middle. What is around it
/// stays, and so do its ends.
#[must_use]
pub fn shorten_words(text: &str, limit: usize) -> String {
    let shorten = |word: &str| {
        let length = word.chars().count();
        if length <= limit {
            return word.to_owned();
        }
        let head = limit / 2;
        let tail = length - (limit - head).saturating_sub(1);
        let start: String = word.chars().take(head).collect();
        start + "…" + &word.chars().skip(tail).collect::<String>()
    };
    text.split(' ').map(shorten).collect::<Vec<_>>().join(" ")
}

/// Returns the text as inert lines of at most `limit` characters together.
#[must_use]
pub fn lines(text: &str, limit: usize) -> String {
    clip(inert_lines(text).trim(), limit)
}

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
    fn a_text_from_outside_cannot_move_the_cursor_or_reverse_the_line() {
        let subject = "fix \u{202e}gpj.exe\u{2069}\u{1b}[2K\r\nnext\u{2028}line  end\u{200b}";
        assert_eq!(line(subject, 99), "fix gpj.exe next line end");
        assert_eq!(lines(subject, 99), "fix  gpj.exe \nnext line  end");
        // Joiners belong to the text.
        assert_eq!(
            line("👩\u{200d}💻 می\u{200c}خواهم", 99),
            "👩\u{200d}💻 می\u{200c}خواهم"
        );
    }

    #[test]
    fn escaped_json_is_inert_and_has_the_same_value() {
        let value = "a\u{202e}b\u{e0041}\u{85}c";
        let escaped = escape_json(&serde_json::to_string(value).unwrap());
        assert_eq!(escaped, r#""a\u202eb\udb40\udc41\u0085c""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), value);
    }

    #[test]
    fn a_long_text_says_that_it_was_cut() {
        assert_eq!(clip("größe", 5), "größe");
        assert_eq!(clip("größen", 5), "größ…");
        assert_eq!(clip("ab", 0), "…");
    }

    #[test]
    fn a_long_path_does_not_hide_the_reason() {
        let path = format!("web/{}/final.png:", "deep/".repeat(30));
        let text = format!("refused {path} is too long");
        assert_eq!(
            shorten_words(&text, 20),
            "refused web/deep/d…inal.png: is too long"
        );
        assert_eq!(shorten_words("a  größer b", 6), "a  größer b");
    }

    proptest! {
        #[test]
        fn every_text_becomes_short_and_inert(text in "(?s).{0,300}", limit in 3_usize..200) {
            let (line, lines) = (line(&text, limit), lines(&text, limit));
            prop_assert!(line.chars().count() <= limit && lines.chars().count() <= limit);
            prop_assert!(!line.chars().any(is_active));
            prop_assert!(!lines.chars().any(|c| c != '\n' && is_active(c)));
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
