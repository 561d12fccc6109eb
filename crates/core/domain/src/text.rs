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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use std::process::Command;

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
