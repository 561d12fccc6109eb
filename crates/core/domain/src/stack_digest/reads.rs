//! What a file of Terraform code reads.
//!
//! A path is followed where the code names it in one piece: as the argument of a file function, or
//! as an argument of a resource or data source. Any other way to a path outside the module is not
//! followed, and the digest covers every file.

use crate::terraform_json::{self, Body as JsonBody};
use hcl_edit::expr::{Expression, FuncCall, Traversal, TraversalOperator};
use hcl_edit::structure::{Attribute, Block, Body};
use hcl_edit::template::{Element, StringTemplate, Template};
use hcl_edit::visit::{self, Visit};
use hcl_edit::{Decorated, Ident};
use serde_json::Value;

/// Functions that read the file, or list the directory, of their first argument.
const FILE_FUNCTIONS: [&str; 11] = [
    "file",
    "filebase64",
    "filebase64sha256",
    "filebase64sha512",
    "fileexists",
    "filemd5",
    "fileset",
    "filesha1",
    "filesha256",
    "filesha512",
    "templatefile",
];

/// Functions that get values, perhaps paths, out of a text. A template calls functions itself.
const TEXT_FUNCTIONS: [&str; 14] = [
    "chomp",
    "csvdecode",
    "jsondecode",
    "regex",
    "regexall",
    "replace",
    "split",
    "substr",
    "templatefile",
    "templatestring",
    "trim",
    "trimprefix",
    "trimspace",
    "yamldecode",
];

/// The cause for a module whose code is not in the commit.
const OUTSIDE: &str = "uses a module from outside the repository";

/// The cause for a file whose modules and data sources are not known.
pub(super) const NOT_READ: &str = "cannot be read as Terraform code";

/// Something that code reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// A path in the repository.
    Path(String),
    /// The module in a directory of the repository.
    Module(String),
    /// Perhaps any file below a directory, which begins a path that is put together.
    Below(String),
    /// A text that may be a path, or the start of one.
    Text(String),
    /// A text with `..`, which may be the start of any path.
    Parent,
    /// Perhaps any file of the repository.
    AnyFile(&'static str),
    /// Something outside the repository, which the commit does not decide.
    Outside(&'static str),
    /// Something that the commit does not decide.
    Unknown(&'static str),
}

/// What all code of a stack does.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// A file that reads a file whose path is computed.
    pub(super) dynamic: Option<String>,
    /// Values are taken out of texts.
    pub(super) computes: bool,
    /// There are data sources or ephemeral resources.
    pub(super) data: bool,
}

/// Returns what a file of the module in `dir` reads, for a stack in `stack`. Adds what it does to
/// `reads`.
pub(super) fn of(path: &str, text: &str, dir: &str, stack: &str, reads: &mut Reads) -> Vec<Read> {
    let mut reader = Reader {
        path,
        dir,
        stack,
        reads,
        found: Vec::new(),
        names_paths: false,
    };
    if path.ends_with(".json") {
        let root = terraform_json::parse(text.as_bytes());
        if root.and_then(|root| reader.json(&root)).is_none() {
            reader.unknown(NOT_READ);
        }
    } else {
        match text.parse::<Body>() {
            Ok(body) => reader.visit_body(&body),
            Err(_) => reader.unknown(NOT_READ),
        }
    }
    reader.found
}

/// Returns whether a text has `..` as a part of a path.
pub(super) fn has_parent(text: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.match_indices("..").any(|(at, dots)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + dots.len()..).and_then(|it| it.chars().next());
        !before.is_some_and(in_name) && !after.is_some_and(in_name)
    })
}

/// Returns whether a character is part of a path that is written without quotes.
pub(super) fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "._-/+@".contains(c)
}

/// Returns whether a path has `..` after the name of a file or directory. If the name is a symbolic
/// link, the path continues from its target.
fn has_parent_after_name(path: &str) -> bool {
    path.split('/')
        .skip_while(|part| matches!(*part, "" | "." | ".."))
        .any(|part| part == "..")
}

/// Returns the path from the repository's root, or none if it leaves the repository.
pub(super) fn join(base: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

struct Reader<'r> {
    path: &'r str,
    /// The module's directory.
    dir: &'r str,
    /// The stack's directory, in which Terraform runs.
    stack: &'r str,
    reads: &'r mut Reads,
    found: Vec<Read>,
    /// Whether an attribute's value is used as it is, so that a path in it can be followed.
    names_paths: bool,
}

impl Reader<'_> {
    fn any_file(&mut self, cause: &'static str) {
        self.found.push(Read::AnyFile(cause));
    }

    fn unknown(&mut self, cause: &'static str) {
        self.found.push(Read::Unknown(cause));
    }

    fn outside(&mut self, cause: &'static str) {
        self.found.push(Read::Outside(cause));
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.found.push(Read::Text(text.to_owned()));
        }
        if has_parent(text) {
            self.found.push(Read::Parent);
        }
    }

    fn follow(&mut self, path: Option<String>) {
        match path {
            Some(path) => self.found.push(Read::Path(path)),
            None => self.outside("names a path outside the repository"),
        }
    }

    fn module(&mut self, source: Option<&str>) {
        let local = |source: &&str| source.starts_with("./") || source.starts_with("../");
        match source {
            Some(source) if local(&source) => match join(self.dir, source) {
                Some(dir) => self.found.push(Read::Module(dir)),
                None => self.outside(OUTSIDE),
            },
            // Also with a fixed version or commit: `init` fetches the module again, and the files that
            // its code reads are not known here.
            Some(_) => self.outside(OUTSIDE),
            None => self.unknown("uses a module whose source is not a plain text"),
        }
    }

    /// Returns the path that an expression names in one piece: a plain text, or a text after
    /// `path.module` or `path.root`. The inner option is none if the path leaves the repository.
    fn named_path(&self, expression: &Expression) -> Option<Option<String>> {
        let plain = |text: &str| {
            !text.starts_with('/')
                && !has_parent_after_name(text)
                && text
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '@' | '+'))
        };
        match expression {
            Expression::Parenthesis(inner) => self.named_path(inner.inner()),
            Expression::String(text) => plain(text).then(|| join(self.stack, text)),
            Expression::Traversal(traversal) => {
                self.base(traversal).map(|base| Some(base.to_owned()))
            }
            Expression::StringTemplate(template) => {
                let mut elements = template.iter();
                let Element::Interpolation(first) = elements.next()? else {
                    return None;
                };
                let Expression::Traversal(traversal) = &first.expr else {
                    return None;
                };
                let base = self.base(traversal)?;
                match (elements.next(), elements.next()) {
                    (None, _) => Some(Some(base.to_owned())),
                    (Some(Element::Literal(rest)), None) => {
                        let rest = rest.strip_prefix('/')?;
                        plain(rest).then(|| join(base, rest))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns the directory of `path.module` or `path.root`.
    fn base(&self, traversal: &Traversal) -> Option<&str> {
        if root(traversal) != Some("path") {
            return None;
        }
        let [operator] = traversal.operators.as_slice() else {
            return None;
        };
        match operator.value() {
            TraversalOperator::GetAttr(name) if name.as_str() == "module" => Some(self.dir),
            TraversalOperator::GetAttr(name) if name.as_str() == "root" => Some(self.stack),
            _ => None,
        }
    }

    /// Finds where a path leads that is put together: to the file, or to the directory that it begins with.
    fn prefix<'e>(&mut self, mut elements: impl Iterator<Item = &'e Element>) {
        let mut first = elements.next();
        let base = match first {
            Some(Element::Interpolation(inner)) => match &inner.expr {
                Expression::Traversal(traversal) => self.base(traversal),
                _ => None,
            },
            _ => None,
        };
        if base.is_some() {
            first = elements.next();
        }
        let text = match first {
            Some(Element::Literal(text)) => text.as_str(),
            _ => "",
        };
        let known = match (elements.next(), text.rsplit_once('/')) {
            (None, _) => text,
            (Some(_), Some((directory, _))) => directory,
            (Some(_), None) => "",
        };
        // A path outside the repository is found elsewhere.
        let path = join(base.unwrap_or(self.stack), known);
        self.found.extend(path.map(Read::Below));
    }

    fn begins_with_base<'e>(&self, mut elements: impl Iterator<Item = &'e Element>) -> bool {
        matches!(elements.next(), Some(Element::Interpolation(first))
            if matches!(&first.expr, Expression::Traversal(it) if self.base(it).is_some()))
    }

    fn file_function(&mut self, call: &FuncCall) {
        let mut arguments = call.args.iter();
        let Some(first) = arguments.next() else {
            return;
        };
        if let Some(path) = self.named_path(first) {
            self.follow(path);
        } else {
            self.reads
                .dynamic
                .get_or_insert_with(|| self.path.to_owned());
            let mut roots = Roots::default();
            roots.visit_expr(first);
            if roots.outside {
                self.any_file("reads a file whose path comes from a resource or data source");
            }
            match first {
                Expression::StringTemplate(template) => self.prefix(template.iter()),
                Expression::String(text) => {
                    self.found.extend(join(self.stack, text).map(Read::Below));
                }
                _ => self.found.push(Read::Below(self.stack.to_owned())),
            }
            self.visit_expr(first);
        }
        for argument in arguments {
            self.visit_expr(argument);
        }
    }

    /// Reads a file in JSON. Returns none if it has blocks that cannot be read.
    fn json(&mut self, root: &JsonBody) -> Option<()> {
        for (_, body) in terraform_json::labelled(root.get("module"))? {
            let source = body.get("source").and_then(Value::as_str);
            self.module(source.filter(|source| !is_template(source)));
            for (key, value) in body {
                if key != "source" {
                    self.json_value(value);
                }
            }
        }
        let mut sources = vec![root];
        for (_, check) in terraform_json::labelled(root.get("check"))? {
            sources.push(check);
        }
        for body in sources {
            for key in ["data", "ephemeral"] {
                for (kind, _) in terraform_json::labelled(body.get(key))? {
                    self.data(kind);
                }
            }
        }
        for (key, value) in root {
            if key != "module" {
                self.json_value(value);
            }
        }
        Some(())
    }

    fn json_value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.json_text(text),
            Value::Array(list) => {
                for value in list {
                    self.json_value(value);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.json_text(key);
                    self.json_value(value);
                }
            }
        }
    }

    fn json_text(&mut self, text: &str) {
        if !is_template(text) {
            return self.text(text);
        }
        match text.parse::<Template>() {
            Ok(template) => {
                if self.begins_with_base(template.iter()) {
                    self.prefix(template.iter());
                }
                self.visit_template(&template);
            }
            Err(_) => self.any_file("has a template that cannot be parsed"),
        }
    }

    /// Finds what a provisioner names. It runs when a resource is created or destroyed, and does not change a plan.
    fn provisioner(&mut self, block: &Block) {
        let reads = std::mem::take(self.reads);
        let start = self.found.len();
        visit::visit_block(self, block);
        *self.reads = reads;
        for read in self.found.split_off(start) {
            match read {
                Read::Path(path) | Read::Below(path) => self.found.push(Read::Below(path)),
                // A command, whose words may be paths.
                Read::Text(text) => {
                    let words = text.split(|c| !is_plain(c));
                    let words = words.map(|word| word.trim_start_matches('/'));
                    let named = words.filter(|word| !word.is_empty());
                    self.found
                        .extend(named.map(|word| Read::Text(word.to_owned())));
                }
                Read::Module(_)
                | Read::Parent
                | Read::AnyFile(_)
                | Read::Outside(_)
                | Read::Unknown(_) => {}
            }
        }
    }

    fn data(&mut self, kind: &str) {
        self.reads.data = true;
        match kind {
            "external" => self.any_file("runs a program, which may read any file"),
            "terraform_remote_state" => {
                self.outside("reads the state of another stack, which is not an input");
            }
            _ => {}
        }
    }
}

impl Visit for Reader<'_> {
    fn visit_block(&mut self, block: &Block) {
        let label = block
            .labels
            .first()
            .map(hcl_edit::structure::BlockLabel::as_str);
        let before = self.names_paths;
        match block.ident.as_str() {
            "provisioner" => return self.provisioner(block),
            "module" => {
                let source = block.body.get_attribute("source");
                let source = source.and_then(|source| source.value.as_str());
                self.module(source);
                for attribute in block.body.attributes() {
                    if attribute.key.as_str() != "source" {
                        self.visit_attr(attribute);
                    }
                }
                for inner in block.body.blocks() {
                    self.visit_block(inner);
                }
                return;
            }
            "data" | "ephemeral" => {
                self.data(label.unwrap_or_default());
                self.names_paths = true;
            }
            "resource" => self.names_paths = true,
            _ => {}
        }
        visit::visit_block(self, block);
        self.names_paths = before;
    }

    fn visit_attr(&mut self, attribute: &Attribute) {
        let path = self.names_paths.then(|| self.named_path(&attribute.value));
        match path.flatten() {
            Some(path) => self.follow(path),
            None => self.visit_expr(&attribute.value),
        }
    }

    fn visit_string(&mut self, text: &Decorated<String>) {
        self.text(text);
    }

    fn visit_string_template(&mut self, template: &StringTemplate) {
        if self.begins_with_base(template.iter()) {
            self.prefix(template.iter());
        }
        visit::visit_string_template(self, template);
    }

    fn visit_element(&mut self, element: &Element) {
        match element {
            Element::Literal(text) => self.text(text),
            // Within a template, only a text with `..` leads out of the module.
            Element::Interpolation(inner) if matches!(&inner.expr, Expression::Traversal(it) if self.base(it).is_some()) =>
                {}
            other => visit::visit_element(self, other),
        }
    }

    fn visit_traversal(&mut self, traversal: &Traversal) {
        if root(traversal) == Some("path") {
            self.any_file("computes with `path`");
        }
        visit::visit_traversal(self, traversal);
    }

    fn visit_func_call(&mut self, call: &FuncCall) {
        let spaces: Vec<&str> = call.name.namespace.iter().map(|it| it.as_str()).collect();
        if !matches!(spaces.as_slice(), [] | ["core"]) {
            self.any_file("calls a function of a provider");
        }
        let name = call.name.name.as_str();
        self.reads.computes |= TEXT_FUNCTIONS.contains(&name);
        if FILE_FUNCTIONS.contains(&name) {
            return self.file_function(call);
        }
        if matches!(name, "abspath" | "dirname") {
            self.any_file("computes a directory");
        }
        for argument in &call.args {
            // The function may cut the path.
            if let Expression::StringTemplate(template) = argument
                && template.iter().any(|element| {
                    matches!(element, Element::Interpolation(it)
                    if matches!(&it.expr, Expression::Traversal(it) if self.base(it).is_some()))
                })
            {
                self.any_file("computes with `path`");
            }
            self.visit_expr(argument);
        }
    }
}

/// Finds whether an expression takes a value from a resource, a data source or a module.
#[derive(Default)]
struct Roots {
    outside: bool,
}

impl Visit for Roots {
    fn visit_traversal(&mut self, traversal: &Traversal) {
        // The type of a resource has an underscore after the provider's name.
        let outside =
            |name: &str| matches!(name, "data" | "ephemeral" | "module") || name.contains('_');
        self.outside |= root(traversal).is_some_and(outside);
        visit::visit_traversal(self, traversal);
    }
}

fn root(traversal: &Traversal) -> Option<&str> {
    match &traversal.expr {
        Expression::Variable(name) => {
            let name: &Ident = name.value();
            Some(name.as_str())
        }
        _ => None,
    }
}

fn is_template(text: &str) -> bool {
    text.contains("${") || text.contains("%{")
}
