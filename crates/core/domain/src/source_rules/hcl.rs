//! Finds variables and backends in Terraform files.
//!
//! A tokenizer and a matcher for blocks, not a parser: they follow strings, templates, heredocs, comments and brackets, and leave
//! expressions alone. The tests compare the result with that of a full parser.

use crate::terraform_json;
use std::collections::{BTreeMap, BTreeSet};

/// The declarations in the files of one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The declared input variables, with the names of the arguments that their blocks set.
    pub variables: BTreeMap<String, BTreeSet<String>>,
    /// The `backend` and `cloud` blocks.
    pub backends: Vec<BackendBlock>,
    /// The files that could not be read to their end, whose facts may be incomplete. Terraform reports a syntax error.
    pub unread: Vec<String>,
}

/// A block that configures where the state is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendBlock {
    /// The name of the file.
    pub file: String,
    /// The line, from 1. None in JSON.
    pub line: Option<u64>,
    /// The type of the backend, or `cloud`.
    pub kind: String,
    /// The names of its arguments and nested blocks.
    pub settings: Vec<String>,
}

/// Returns whether Terraform reads a file of this name as configuration.
#[must_use]
pub fn is_terraform(name: &str) -> bool {
    name.ends_with(".tf") || name.ends_with(".tf.json")
}

/// Reads the Terraform files among `files`, which are pairs of name and content.
#[must_use]
pub fn scan<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Facts {
    let mut facts = Facts::default();
    for (name, bytes) in files {
        let is_read = if name.ends_with(".tf.json") {
            scan_json(name, bytes, &mut facts)
        } else if name.ends_with(".tf") {
            let text = String::from_utf8_lossy(bytes);
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            Matcher::new(name, &mut facts).read(text)
        } else {
            continue;
        };
        if is_read.is_none() {
            facts.unread.push(name.to_owned());
        }
    }
    facts
}

/// A block whose body matters, or any other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Root,
    Terraform,
    /// A `backend` or `cloud` block: the last of `Facts::backends`.
    Backend,
    /// A `variable` block, of the variable `Matcher::variable`.
    Variable,
    Other,
}

/// The place in the current item of a body.
enum Item {
    Start,
    /// A name and labels, before `{` or `=`.
    Header {
        line: u64,
        name: String,
        labels: Vec<Option<String>>,
    },
    /// The value of the argument of this name.
    Value {
        name: String,
    },
}

struct Matcher<'a> {
    file: &'a str,
    facts: &'a mut Facts,
    blocks: Vec<Block>,
    variable: Option<String>,
    /// The closing brackets that the current expression still needs.
    brackets: Vec<char>,
    item: Item,
}

impl<'a> Matcher<'a> {
    fn new(file: &'a str, facts: &'a mut Facts) -> Self {
        Self {
            file,
            facts,
            blocks: vec![Block::Root],
            variable: None,
            brackets: Vec::new(),
            item: Item::Start,
        }
    }

    /// Reads a file. Returns `None` at the first syntax error; facts before it are kept.
    fn read(mut self, text: &str) -> Option<()> {
        let mut lexer = Lexer::new(text);
        while let Some((line, token)) = lexer.next().ok()? {
            self.token(line, token)?;
        }
        self.token(lexer.line, Token::Newline)?;
        let is_complete = self.blocks.len() == 1 && matches!(self.item, Item::Start);
        is_complete.then_some(())
    }

    fn token(&mut self, line: u64, token: Token) -> Option<()> {
        match std::mem::replace(&mut self.item, Item::Start) {
            Item::Start => match token {
                Token::Newline => {}
                Token::Close('}') => self.close()?,
                Token::Name(name) => {
                    self.item = Item::Header {
                        line,
                        name,
                        labels: Vec::new(),
                    };
                }
                _ => return None,
            },
            Item::Header {
                line,
                name,
                mut labels,
            } => match token {
                Token::Name(label) => {
                    labels.push(Some(label));
                    self.item = Item::Header { line, name, labels };
                }
                Token::Text(label) => {
                    labels.push(label);
                    self.item = Item::Header { line, name, labels };
                }
                Token::Open('{') => self.open(line, &name, &labels),
                Token::Equals if labels.is_empty() => {
                    self.item = Item::Value { name };
                }
                _ => return None,
            },
            Item::Value { name } => {
                match token {
                    Token::Newline if self.brackets.is_empty() => {
                        self.argument(&name);
                        return Some(());
                    }
                    Token::Close('}') if self.brackets.is_empty() => {
                        self.argument(&name);
                        return self.close();
                    }
                    Token::Open(bracket) => self.brackets.push(match bracket {
                        '{' => '}',
                        '[' => ']',
                        _ => ')',
                    }),
                    Token::Close(bracket) => {
                        if self.brackets.pop() != Some(bracket) {
                            return None;
                        }
                    }
                    Token::Newline
                    | Token::Text(_)
                    | Token::Name(_)
                    | Token::Equals
                    | Token::Other => {}
                }
                self.item = Item::Value { name };
            }
        }
        Some(())
    }

    fn open(&mut self, line: u64, name: &str, labels: &[Option<String>]) {
        let parent = self.blocks.last().copied().unwrap_or(Block::Other);
        if parent == Block::Backend {
            self.setting(name);
        }
        // A label with a template is not a type that exists.
        let label = labels
            .first()
            .map(|label| label.clone().unwrap_or_else(|| "${}".to_owned()));
        let block = match (parent, name) {
            (Block::Root, "terraform") => Block::Terraform,
            (Block::Root, "variable") => {
                if let Some(name) = &label {
                    self.facts.variables.entry(name.clone()).or_default();
                }
                self.variable = label;
                Block::Variable
            }
            (Block::Terraform, "backend" | "cloud") => {
                let kind = match name {
                    "cloud" => "cloud".to_owned(),
                    _ => label.unwrap_or_default(),
                };
                self.facts.backends.push(BackendBlock {
                    file: self.file.to_owned(),
                    line: Some(line),
                    kind,
                    settings: Vec::new(),
                });
                Block::Backend
            }
            _ => Block::Other,
        };
        self.blocks.push(block);
    }

    /// Closes the current block. The root cannot be closed.
    fn close(&mut self) -> Option<()> {
        self.blocks.pop();
        (!self.blocks.is_empty()).then_some(())
    }

    fn argument(&mut self, name: &str) {
        match self.blocks.last() {
            Some(Block::Backend) => self.setting(name),
            Some(Block::Variable) => {
                let known = self.variable.as_ref();
                if let Some(arguments) = known.and_then(|one| self.facts.variables.get_mut(one)) {
                    arguments.insert(name.to_owned());
                }
            }
            Some(Block::Root | Block::Terraform | Block::Other) | None => {}
        }
    }

    fn setting(&mut self, name: &str) {
        if let Some(block) = self.facts.backends.last_mut() {
            block.settings.push(name.to_owned());
        }
    }
}

enum Token {
    Name(String),
    /// A string or heredoc; its value if it has no template and no escape.
    Text(Option<String>),
    Open(char),
    Close(char),
    Equals,
    Newline,
    Other,
}

/// A template that is open.
enum Template {
    Quoted,
    Heredoc {
        marker: String,
        /// Whether the next character is the first of its line.
        is_line_start: bool,
    },
    /// An interpolation or directive in one of the others, with the number of braces that are open in it.
    Sequence {
        braces: usize,
    },
}

/// A string, heredoc or comment that does not end.
struct Unended;

struct Lexer<'a> {
    rest: &'a str,
    line: u64,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 1,
        }
    }

    /// Returns the next token with its line, or none at the end of the text.
    fn next(&mut self) -> Result<Option<(u64, Token)>, Unended> {
        loop {
            self.skip_while(|c| matches!(c, ' ' | '\t' | '\r'));
            if !self.skip_comment()? {
                break;
            }
        }
        let line = self.line;
        if let Some(heredoc) = self.heredoc() {
            self.template(heredoc)?;
            return Ok(Some((line, Token::Text(None))));
        }
        if ["==", "=>", "!=", "<=", ">="]
            .iter()
            .any(|two| self.rest.starts_with(two))
        {
            self.skip(2);
            return Ok(Some((line, Token::Other)));
        }
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if is_name_start(first) {
            let name = self.skip_while(|c| is_name_start(c) || c.is_numeric() || c == '-');
            return Ok(Some((line, Token::Name(name.to_owned()))));
        }
        self.skip(first.len_utf8());
        let token = match first {
            '\n' => Token::Newline,
            '"' => Token::Text(self.quoted()?),
            '{' | '[' | '(' => Token::Open(first),
            '}' | ']' | ')' => Token::Close(first),
            '=' => Token::Equals,
            _ => Token::Other,
        };
        Ok(Some((line, token)))
    }

    /// Removes a comment, but not the line end after it. Returns whether there was one.
    fn skip_comment(&mut self) -> Result<bool, Unended> {
        if self.rest.starts_with('#') || self.rest.starts_with("//") {
            self.skip_while(|c| c != '\n');
            Ok(true)
        } else if let Some(comment) = self.rest.strip_prefix("/*") {
            let end = comment.find("*/").ok_or(Unended)?;
            self.skip(end + 4);
            Ok(true)
        } else {
            Ok(false)
        }
    }

    /// Removes the first line of a heredoc.
    fn heredoc(&mut self) -> Option<Template> {
        let start = self.rest.strip_prefix("<<")?;
        let start = start.strip_prefix('-').unwrap_or(start);
        let (marker, _) = start.split_once('\n')?;
        let marker = marker.trim_end();
        let is_name = marker.starts_with(is_name_start)
            && marker
                .chars()
                .all(|c| is_name_start(c) || c.is_numeric() || c == '-');
        if !is_name {
            return None;
        }
        let marker = marker.to_owned();
        self.skip_while(|c| c != '\n');
        self.skip(1);
        Some(Template::Heredoc {
            marker,
            is_line_start: true,
        })
    }

    /// Removes a string after its opening quote. Returns the value if it is a plain one.
    fn quoted(&mut self) -> Result<Option<String>, Unended> {
        let start = self.rest;
        self.template(Template::Quoted)?;
        let length = start.len() - self.rest.len();
        let value = start.get(..length.saturating_sub(1)).unwrap_or_default();
        let is_plain = !["\\", "${", "%{"].iter().any(|part| value.contains(part));
        Ok(is_plain.then(|| value.to_owned()))
    }

    /// Removes a template with everything in it.
    fn template(&mut self, outer: Template) -> Result<(), Unended> {
        let mut open = vec![outer];
        while let Some(template) = open.last_mut() {
            match template {
                Template::Heredoc {
                    marker,
                    is_line_start: is_line_start @ true,
                } => {
                    *is_line_start = false;
                    let line = self.rest.split('\n').next().unwrap_or_default();
                    if line.trim() == marker {
                        // The line end after the marker also ends the argument.
                        self.skip(line.len());
                        open.pop();
                    }
                }
                Template::Heredoc { is_line_start, .. } => match self.bump()? {
                    '\n' => *is_line_start = true,
                    sign @ ('$' | '%') => open.extend(self.sequence(sign)),
                    _ => {}
                },
                Template::Quoted => match self.bump()? {
                    '"' => {
                        open.pop();
                    }
                    '\\' => {
                        self.bump()?;
                    }
                    '\n' => return Err(Unended),
                    sign @ ('$' | '%') => open.extend(self.sequence(sign)),
                    _ => {}
                },
                Template::Sequence { braces } => {
                    if self.skip_comment()? {
                        continue;
                    }
                    if let Some(heredoc) = self.heredoc() {
                        open.push(heredoc);
                        continue;
                    }
                    match self.bump()? {
                        '{' => *braces += 1,
                        '}' if *braces == 0 => {
                            open.pop();
                        }
                        '}' => *braces -= 1,
                        '"' => open.push(Template::Quoted),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// After the sign `$` or `%`: removes the start of a sequence, or the rest of an escaped one, such as `$${`.
    fn sequence(&mut self, sign: char) -> Option<Template> {
        let escaped = self.rest.strip_prefix(sign);
        if escaped.is_some_and(|rest| rest.starts_with('{')) {
            self.skip(2);
            None
        } else if self.rest.starts_with('{') {
            self.skip(1);
            Some(Template::Sequence { braces: 0 })
        } else {
            None
        }
    }

    fn bump(&mut self) -> Result<char, Unended> {
        let c = self.rest.chars().next().ok_or(Unended)?;
        self.skip(c.len_utf8());
        Ok(c)
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        self.skip(end)
    }

    /// Removes bytes, and counts their lines.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        let lines = skipped.bytes().filter(|byte| *byte == b'\n').count();
        self.line += u64::try_from(lines).unwrap_or_default();
        self.rest = rest;
        skipped
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Reads a file in JSON. Returns `None` if Terraform may read it differently; it then has no facts.
fn scan_json(name: &str, bytes: &[u8], facts: &mut Facts) -> Option<()> {
    let root = terraform_json::parse(bytes)?;
    let variables = terraform_json::labelled(root.get("variable"))?;
    let mut backends = Vec::new();
    for terraform in terraform_json::blocks(root.get("terraform"))? {
        backends.extend(terraform_json::labelled(terraform.get("backend"))?);
        let cloud = terraform_json::blocks(terraform.get("cloud"))?;
        backends.extend(cloud.into_iter().map(|body| ("cloud", body)));
    }
    for (name, body) in variables {
        let arguments = facts.variables.entry(name.to_owned()).or_default();
        arguments.extend(body.keys().cloned());
    }
    let backends = backends.into_iter().map(|(kind, body)| BackendBlock {
        file: name.to_owned(),
        line: None,
        kind: kind.to_owned(),
        settings: body.keys().cloned().collect(),
    });
    facts.backends.extend(backends);
    Some(())
}

#[cfg(test)]
mod tests;
