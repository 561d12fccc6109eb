//! What a file of Terraform code reads.
//!
//! A path is followed where the code names it in one piece: as the argument of a file function, or
//! as an argument of a resource or data source. Any other way to a path outside the module is not
//! followed, and the digest covers every file.

use hcl_edit::expr::{Expression, FuncCall, Traversal, TraversalOperator};
use hcl_edit::structure::{Attribute, Block, Body};
use hcl_edit::template::{Element, Template};
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

/// Something that code reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// A path in the repository.
    Path(String),
    /// The module in a directory of the repository.
    Module(String),
    /// Perhaps any file of the repository.
    AnyFile(&'static str),
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
    /// There are data sources.
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
        match serde_json::from_str::<Value>(text) {
            Ok(root) => reader.json(&root),
            Err(_) => reader.any_file("is not valid JSON"),
        }
    } else {
        match text.parse::<Body>() {
            Ok(body) => reader.visit_body(&body),
            Err(_) => reader.any_file("cannot be parsed"),
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

/// Returns the path from the repository's root, or none if it leaves the repository.
fn join(base: &str, relative: &str) -> Option<String> {
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

    fn text(&mut self, text: &str) {
        if has_parent(text) {
            self.any_file("has a path with `..` that is not followed");
        }
    }

    fn follow(&mut self, path: Option<String>) {
        match path {
            Some(path) => self.found.push(Read::Path(path)),
            None => self.any_file("names a path outside the repository"),
        }
    }

    fn module(&mut self, source: Option<&str>, version: Option<&str>) {
        let local = |source: &&str| source.starts_with("./") || source.starts_with("../");
        match source {
            Some(source) if local(&source) => match join(self.dir, source) {
                Some(dir) => self.found.push(Read::Module(dir)),
                None => self.any_file("uses a module outside the repository"),
            },
            Some(source) if is_fixed(source, version) => {
                self.any_file("uses a module from outside, whose code is not known here");
            }
            Some(_) => self.found.push(Read::Unknown(
                "uses a module from outside without a fixed version",
            )),
            None => self.found.push(Read::Unknown(
                "uses a module whose source is not a plain text",
            )),
        }
    }

    /// Returns the path that an expression names in one piece: a plain text, or a text after
    /// `path.module` or `path.root`. The inner option is none if the path leaves the repository.
    fn named_path(&self, expression: &Expression) -> Option<Option<String>> {
        let plain = |text: &str| {
            !text.starts_with('/')
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
            self.visit_expr(first);
        }
        for argument in arguments {
            self.visit_expr(argument);
        }
    }

    fn json(&mut self, root: &Value) {
        for modules in each(root.get("module")) {
            let bodies = modules.as_object().into_iter().flatten();
            for body in bodies.flat_map(|(_, bodies)| each(Some(bodies))) {
                let text = |key: &str| body.get(key).and_then(Value::as_str);
                let source = text("source").filter(|source| !is_template(source));
                self.module(source, text("version"));
            }
        }
        for data in each(root.get("data")) {
            for (kind, _) in data.as_object().into_iter().flatten() {
                self.data(kind);
            }
        }
        self.json_value(root, true);
    }

    fn json_value(&mut self, value: &Value, at_root: bool) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.json_text(text),
            Value::Array(list) => {
                for value in list {
                    self.json_value(value, at_root);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.json_text(key);
                    if at_root && key == "module" {
                        self.json_modules(value);
                    } else {
                        self.json_value(value, false);
                    }
                }
            }
        }
    }

    /// Reads the arguments of modules, without their sources.
    fn json_modules(&mut self, modules: &Value) {
        let bodies = each(Some(modules)).filter_map(Value::as_object).flatten();
        for body in bodies.flat_map(|(_, bodies)| each(Some(bodies))) {
            for (key, value) in body.as_object().into_iter().flatten() {
                if key != "source" {
                    self.json_value(value, false);
                }
            }
        }
    }

    fn json_text(&mut self, text: &str) {
        if !is_template(text) {
            return self.text(text);
        }
        match text.parse::<Template>() {
            Ok(template) => self.visit_template(&template),
            Err(_) => self.any_file("has a template that cannot be parsed"),
        }
    }

    fn data(&mut self, kind: &str) {
        self.reads.data = true;
        match kind {
            "external" => self.any_file("runs a program, which may read any file"),
            "terraform_remote_state" => {
                let cause = "reads the state of another stack, which is not an input";
                self.found.push(Read::Unknown(cause));
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
            // They run when a resource is created or destroyed, and do not change a plan.
            "provisioner" => return,
            "module" => {
                let text = |key: &str| match &block.body.get_attribute(key)?.value {
                    Expression::String(text) => Some(text.as_str()),
                    _ => None,
                };
                self.module(text("source"), text("version"));
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
            "data" => {
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
        let outside = |name: &str| matches!(name, "data" | "module") || name.contains('_');
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

/// Returns whether a module from outside always has the same code: one version from a registry, or
/// a commit.
fn is_fixed(source: &str, version: Option<&str>) -> bool {
    let hex = |text: &str| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some((_, query)) = source.split_once('?') {
        return query
            .split('&')
            .any(|pair| pair.strip_prefix("ref=").is_some_and(hex));
    }
    version.is_some_and(|version| {
        let version = version.trim_start_matches('=').trim();
        let parts: Vec<&str> = version.split('.').collect();
        let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        parts.len() == 3 && parts.iter().all(number)
    })
}

/// Returns the blocks of a JSON value, which is one object or a list of objects.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (one, many) = match value {
        Some(Value::Array(list)) => (None, list.as_slice()),
        other => (other, [].as_slice()),
    };
    one.into_iter().chain(many)
}
