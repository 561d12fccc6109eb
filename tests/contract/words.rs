//! Plain English: home-made words that a reader would have to learn. docs/glossary.md has the terms.

use crate::tree::files;

/// A word or a sequence of words, in lower case, and what to write instead. Names in snake case and
/// camel case are read as words too.
const BANNED: &[(&str, &str)] = &[
    ("mend", "fix, repair, patch"),
    ("mends", "fixes, repairs, patches"),
    ("mended", "fixed, repaired, patched"),
    ("mending", "fixing, repairing"),
    ("mender", "patch"),
    ("way back", "rollback"),
    ("ways back", "rollbacks"),
    ("way there", "forward leg"),
    ("turn", "error decision, leg, convert"),
    ("turns", "error decisions, legs, converts"),
    ("turned", "decided, converted"),
    ("turning", "converting"),
    ("tell", "send, report, notify"),
    ("tells", "sends, reports, distinguishes"),
    ("telling", "sending, reporting"),
    ("told", "sent, notified"),
    ("untold", "unsent"),
    ("teller", "harness, printer"),
    ("narrator", "progress"),
    ("chapter", "scenario"),
    ("chapters", "scenarios"),
    ("stand in", "fake; is in"),
    ("stands in", "is in"),
    ("standin", "fake"),
    ("deed", "change, action"),
    ("deeds", "changes, actions"),
    ("rival", "duplicate, other"),
    ("forsaken", "orphaned"),
    ("the word", "the verdict, the status"),
    ("the words", "the text, the message"),
    ("what came of", "the result of"),
    ("nobody", "no one"),
    ("somebody", "someone"),
    ("takes back", "undoes"),
    ("take back", "undo"),
    ("took back", "undid"),
    ("went back", "rolled back"),
    ("goes back", "rolls back"),
    ("go back", "roll back"),
    ("gives back", "releases, returns"),
    ("plays", "simulates, acts as; a fake"),
    ("played", "simulated"),
    ("once more", "again"),
    ("the way of", "the path of"),
    ("lost track", "no longer knows"),
    ("bears", "has"),
    ("forgotten", "deleted, removed"),
    ("lies", "is"),
    ("is no", "is not a"),
];

/// Phrases of plain English that contain a banned word: the words before it, and those after it.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("in", "turn", ""),
    ("there", "is no", ""),
    ("", "is no", "longer"),
    ("", "is no", "more"),
    ("", "is no", "stronger"),
    ("", "told", "to"),
    // The SDK's name.
    ("", "is no", "such key"),
];

/// `turn a into b` and `tell a from b`: the word and the one that follows later in the line.
const PAIRS: &[(&str, &str)] = &[
    ("turn", "into"),
    ("turns", "into"),
    ("turned", "into"),
    ("tell", "from"),
    ("tells", "from"),
];

/// Files with text that is not ours, and this list.
const FOREIGN: &[&str] = &["LICENSE", "Cargo.lock", "tests/contract/words.rs"];

/// Returns the words of a line: `OneWay_back` has `one`, `way` and `back`.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        let starts = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if (starts || !c.is_alphabetic()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

fn split(phrase: &str) -> Vec<&str> {
    phrase.split_whitespace().collect()
}

/// Returns the banned words of a line.
fn banned(line: &str) -> Vec<&'static str> {
    let words = words(line);
    let has = |at: Option<usize>, phrase: &str| {
        let rest = at.and_then(|at| words.get(at..)).unwrap_or_default();
        let phrase = split(phrase);
        rest.len() >= phrase.len() && rest.iter().zip(&phrase).all(|(word, own)| word == own)
    };
    let mut found = Vec::new();
    for (at, first) in words.iter().enumerate() {
        let phrases = BANNED.iter().map(|(phrase, _)| *phrase);
        for phrase in phrases.filter(|phrase| phrase.starts_with(first) && has(Some(at), phrase)) {
            let end = at + split(phrase).len();
            let is_allowed = ALLOWED.iter().any(|(before, own, after)| {
                *own == phrase
                    && has(at.checked_sub(split(before).len()), before)
                    && has(Some(end), after)
            });
            let is_pair = PAIRS
                .iter()
                .any(|(own, later)| *own == phrase && words[at..].iter().any(|it| it == later));
            if !is_allowed && !is_pair {
                found.push(phrase);
            }
        }
    }
    // A type for a verdict or a status.
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = line.split(|c| !is_name(c));
    if names.any(|name| name.ends_with("Word") || name.ends_with("Words")) {
        found.push("the word");
    }
    found
}

#[test]
fn no_text_has_a_home_made_word() {
    let mut found = Vec::new();
    for path in files() {
        for phrase in banned(&path) {
            found.push(format!("{path}: {phrase:?} in the file's name"));
        }
        let Ok(text) = std::fs::read_to_string(tests::root().join(&path)) else {
            continue;
        };
        if FOREIGN.contains(&path.as_str()) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for phrase in banned(line) {
                let (_, instead) = BANNED.iter().find(|(own, _)| *own == phrase).unwrap();
                found.push(format!(
                    "{path}:{}: {phrase:?}, write: {instead}: {}",
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} places:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn names_are_read_as_words_and_plain_english_is_left_alone() {
    for (line, expected) in [
        ("async fn one_way_back(&self)", &["way back"][..]),
        ("struct ErrorTurn;", &["turn"]),
        ("enum LockWord {", &["the word"]),
        ("/// A stand-in for Batch.", &["stand in"]),
        ("// The body is no JSON.", &["is no"]),
        ("// Runs that were not told of it.", &["told"]),
        ("// Each plan in turn.", &[]),
        ("/// Turns a response into an error.", &[]),
        ("// Tells an unknown commit from a lost one.", &[]),
        ("// There is no server; it is no longer needed.", &[]),
        ("let password = keyword.wording();", &[]),
        ("amend, recommend, return, returned, storytelling", &[]),
    ] {
        assert_eq!(banned(line), expected, "{line}");
    }
}
