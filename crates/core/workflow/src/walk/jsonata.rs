//! An evaluator for the subset of JSONata that the state machine uses: paths, filters, comparisons,
//! `in`, `? :`, `&`, object and list constructors, `$string`, `$substring` and `$parse`. Everything
//! else is an error.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The reason that an expression has no value. Step Functions raises `States.QueryEvaluationError`.
pub type Problem = String;

/// A value, or *undefined* in JSONata.
type Maybe = Option<Value>;

/// Evaluates every expression in a template.
///
/// # Errors
/// Fails when an expression has no value or an unknown form.
pub fn fill(template: &Value, variables: &BTreeMap<String, Value>) -> Result<Value, Problem> {
    match template {
        Value::String(text) => match text
            .strip_prefix("{% ")
            .and_then(|rest| rest.strip_suffix(" %}"))
        {
            Some(expression) => evaluate(expression, variables)?
                .ok_or_else(|| format!("`{expression}` is undefined")),
            None => Ok(template.clone()),
        },
        Value::Array(items) => items
            .iter()
            .map(|item| fill(item, variables))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| Ok((name.clone(), fill(value, variables)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

/// Evaluates an expression that is given without its braces. The names of `variables` have no `$`.
///
/// # Errors
/// Fails when the expression has an unknown form.
pub fn evaluate(expression: &str, variables: &BTreeMap<String, Value>) -> Result<Maybe, Problem> {
    let tokens = tokens(expression)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        expression,
    };
    let tree = parser.ternary()?;
    if parser.at < parser.tokens.len() {
        return Err(parser.unexpected());
    }
    value(&tree, None, variables)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Variable(String),
    Text(String),
    Number(u64),
    Symbol(char),
}

fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        let mut word = |first: Option<char>| {
            let mut word: String = first.into_iter().collect();
            while let Some(c) = chars.peek().filter(|c| c.is_alphanumeric() || **c == '_') {
                word.push(*c);
                chars.next();
            }
            word
        };
        match c {
            ' ' => {}
            '$' => tokens.push(Token::Variable(word(None))),
            '0'..='9' => {
                let digits = word(Some(c));
                let number = digits
                    .parse()
                    .map_err(|_| format!("{digits} in `{text}`"))?;
                tokens.push(Token::Number(number));
            }
            '\'' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some('\\') => match chars.next() {
                            Some('n') => quoted.push('\n'),
                            other => return Err(format!("\\{other:?} in `{text}`")),
                        },
                        Some(c) => quoted.push(c),
                        None => return Err(format!("`{text}` has an open quote")),
                    }
                }
                tokens.push(Token::Text(quoted));
            }
            c if c.is_alphabetic() => {
                let name = word(Some(c));
                tokens.push(Token::Name(name));
            }
            '.' | '[' | ']' | '(' | ')' | '{' | '}' | ',' | ':' | '?' | '=' | '&' => {
                tokens.push(Token::Symbol(c));
            }
            other => return Err(format!("{other:?} in `{text}`")),
        }
    }
    Ok(tokens)
}

#[derive(Debug)]
enum Tree {
    Text(String),
    Number(u64),
    Variable(String),
    /// A field of the item that a filter examines.
    Own(String),
    Field(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    Equal(Box<Self>, Box<Self>),
    In(Box<Self>, Box<Self>),
    Concat(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
    Call(String, Vec<Self>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

struct Parser<'t> {
    tokens: Vec<Token>,
    at: usize,
    expression: &'t str,
}

impl Parser<'_> {
    fn unexpected(&self) -> Problem {
        format!(
            "`{}` is not a form that the walker evaluates, at {:?}",
            self.expression,
            self.tokens.get(self.at)
        )
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: char) -> bool {
        self.take(&Token::Symbol(symbol))
    }

    fn expect(&mut self, symbol: char) -> Result<(), Problem> {
        if self.symbol(symbol) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn ternary(&mut self) -> Result<Tree, Problem> {
        let condition = self.comparison()?;
        if !self.symbol('?') {
            return Ok(condition);
        }
        let yes = self.ternary()?;
        self.expect(':')?;
        let no = self.ternary()?;
        Ok(Tree::If(condition.into(), yes.into(), no.into()))
    }

    fn comparison(&mut self) -> Result<Tree, Problem> {
        let left = self.concat()?;
        if self.symbol('=') {
            return Ok(Tree::Equal(left.into(), self.concat()?.into()));
        }
        if self.take(&Token::Name("in".into())) {
            return Ok(Tree::In(left.into(), self.concat()?.into()));
        }
        Ok(left)
    }

    fn concat(&mut self) -> Result<Tree, Problem> {
        let mut left = self.path()?;
        while self.symbol('&') {
            left = Tree::Concat(left.into(), self.path()?.into());
        }
        Ok(left)
    }

    fn path(&mut self) -> Result<Tree, Problem> {
        let mut tree = self.primary()?;
        loop {
            if self.symbol('.') {
                let Some(Token::Name(name)) = self.tokens.get(self.at).cloned() else {
                    return Err(self.unexpected());
                };
                self.at += 1;
                tree = Tree::Field(tree.into(), name);
            } else if self.symbol('[') {
                let index = self.ternary()?;
                self.expect(']')?;
                tree = Tree::Index(tree.into(), index.into());
            } else {
                return Ok(tree);
            }
        }
    }

    fn primary(&mut self) -> Result<Tree, Problem> {
        let Some(token) = self.tokens.get(self.at).cloned() else {
            return Err(self.unexpected());
        };
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Tree::Text(text)),
            Token::Number(number) => Ok(Tree::Number(number)),
            Token::Name(name) => Ok(Tree::Own(name)),
            Token::Variable(name) if self.symbol('(') => Ok(Tree::Call(name, self.list(')')?)),
            Token::Variable(name) => Ok(Tree::Variable(name)),
            Token::Symbol('(') => {
                let inner = self.ternary()?;
                self.expect(')')?;
                Ok(inner)
            }
            Token::Symbol('[') => Ok(Tree::List(self.list(']')?)),
            Token::Symbol('{') => self.object(),
            Token::Symbol(_) => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn list(&mut self, close: char) -> Result<Vec<Tree>, Problem> {
        let mut items = Vec::new();
        while !self.symbol(close) {
            items.push(self.ternary()?);
            if !self.symbol(',') {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn object(&mut self) -> Result<Tree, Problem> {
        let mut fields = Vec::new();
        while !self.symbol('}') {
            let Some(Token::Text(name)) = self.tokens.get(self.at).cloned() else {
                return Err(self.unexpected());
            };
            self.at += 1;
            self.expect(':')?;
            fields.push((name, self.ternary()?));
            if !self.symbol(',') {
                self.expect('}')?;
                break;
            }
        }
        Ok(Tree::Object(fields))
    }
}

fn value(
    tree: &Tree,
    own: Option<&Value>,
    variables: &BTreeMap<String, Value>,
) -> Result<Maybe, Problem> {
    let of = |tree: &Tree| value(tree, own, variables);
    Ok(match tree {
        Tree::Text(text) => Some(Value::String(text.clone())),
        Tree::Number(number) => Some((*number).into()),
        Tree::Variable(name) => variables.get(name).cloned(),
        Tree::Own(name) => field(own, name),
        Tree::Field(base, name) => field(of(base)?.as_ref(), name),
        Tree::Index(base, index) => select(of(base)?, index, variables)?,
        Tree::Equal(left, right) => {
            let (left, right) = (of(left)?, of(right)?);
            Some(Value::Bool(left.is_some() && left == right))
        }
        Tree::In(left, right) => {
            let (left, right) = (of(left)?, of(right)?);
            Some(Value::Bool(match (left, right) {
                (Some(left), Some(Value::Array(items))) => items.contains(&left),
                (Some(left), Some(right)) => left == right,
                _ => false,
            }))
        }
        Tree::Concat(left, right) => Some(Value::String(text(of(left)?) + &text(of(right)?))),
        Tree::If(condition, yes, no) => {
            if truth(of(condition)?.as_ref()) {
                of(yes)?
            } else {
                of(no)?
            }
        }
        Tree::Call(name, arguments) => {
            let arguments = arguments.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            call(name, &arguments)?
        }
        Tree::List(items) => {
            let mut list = Vec::new();
            for item in items {
                match of(item)? {
                    Some(Value::Array(more)) if !matches!(item, Tree::List(_)) => list.extend(more),
                    Some(one) => list.push(one),
                    None => {}
                }
            }
            Some(Value::Array(list))
        }
        Tree::Object(fields) => {
            let mut object = Map::new();
            for (name, tree) in fields {
                if let Some(value) = of(tree)? {
                    object.insert(name.clone(), value);
                }
            }
            Some(Value::Object(object))
        }
    })
}

/// Returns a field of a value, or the fields of a list's items.
fn field(value: Option<&Value>, name: &str) -> Maybe {
    match value? {
        Value::Object(fields) => fields.get(name).cloned(),
        Value::Array(items) => {
            let mut found = Vec::new();
            for item in items {
                match field(Some(item), name) {
                    Some(Value::Array(more)) => found.extend(more),
                    Some(one) => found.push(one),
                    None => {}
                }
            }
            sequence(found)
        }
        _ => None,
    }
}

/// Returns a JSONata sequence: no item is undefined, and one item is the value itself.
fn sequence(mut items: Vec<Value>) -> Maybe {
    match items.len() {
        0 => None,
        1 => items.pop(),
        _ => Some(Value::Array(items)),
    }
}

/// Returns the item with a number, or the items for which a condition holds.
fn select(
    base: Maybe,
    index: &Tree,
    variables: &BTreeMap<String, Value>,
) -> Result<Maybe, Problem> {
    let items = match base {
        None => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    if let Tree::Number(number) = index {
        let number = usize::try_from(*number).map_err(|error| error.to_string())?;
        return Ok(items.get(number).cloned());
    }
    let mut found = Vec::new();
    for item in items {
        if truth(value(index, Some(&item), variables)?.as_ref()) {
            found.push(item);
        }
    }
    Ok(sequence(found))
}

fn truth(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(yes)) => *yes,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => items.iter().any(|item| truth(Some(item))),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}

fn text(value: Maybe) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}

fn call(name: &str, arguments: &[Maybe]) -> Result<Maybe, Problem> {
    match (name, arguments) {
        ("string", [Some(value)]) => Ok(Some(Value::String(text(Some(value.clone()))))),
        ("substring", [Some(Value::String(text)), Some(start), Some(length)]) => {
            let number = |value: &Value| {
                let number = value
                    .as_u64()
                    .and_then(|number| usize::try_from(number).ok());
                number.ok_or_else(|| format!("$substring of {value}"))
            };
            let part = text.chars().skip(number(start)?).take(number(length)?);
            Ok(Some(Value::String(part.collect())))
        }
        ("parse", [Some(Value::String(text))]) => serde_json::from_str(text)
            .map(Some)
            .map_err(|error| format!("$parse: {error}")),
        _ => Err(format!("${name} of {arguments:?}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(expression: &str) -> Result<Maybe, Problem> {
        let states = json!({
            "input": {"verdict": "plan", "plans": [{"verdict": "auto"}, {"verdict": "failed"}], "error": null,
                      "lost": {"Error": "A", "Cause": "b"}},
            "result": [{"verdict": "failed", "error": {"Error": "X"}}, {"verdict": "auto"}],
        });
        let variables = BTreeMap::from([
            ("states".to_owned(), states),
            ("error".to_owned(), Value::Null),
        ]);
        evaluate(expression, &variables)
    }

    #[test]
    fn the_forms_of_the_state_machine_have_values() {
        let cases = [
            ("$states.input.verdict = 'plan'", json!(true)),
            ("'failed' in $states.input.plans.verdict", json!(true)),
            ("'refused' in $states.input.plans.verdict", json!(false)),
            ("$states.result[1]", json!({"verdict": "auto"})),
            (
                "[$states.result[verdict = 'failed']]",
                json!([{"verdict": "failed", "error": {"Error": "X"}}]),
            ),
            ("[$states.result[verdict = 'other']]", json!([])),
            (
                "$error ? $error.Error : $states.input.lost.Error",
                json!("A"),
            ),
            (
                "($error ? 'x\\n' : '') & 'y: ' & $states.input.lost.Cause",
                json!("y: b"),
            ),
            (
                "$string({'Error': 'A', 'Cause': $substring('abc', 0, 2)})",
                json!("{\"Cause\":\"ab\",\"Error\":\"A\"}"),
            ),
            ("$parse('{}')", json!({})),
            ("$states.input.error", json!(null)),
        ];
        for (expression, expected) in cases {
            assert_eq!(of(expression).unwrap(), Some(expected), "{expression}");
        }
        assert_eq!(of("$states.input.nothing").unwrap(), None);
    }

    #[test]
    fn any_other_form_is_refused() {
        for expression in [
            "$sum([1])",
            "1 + 2",
            "$states.input.*",
            "a := 1",
            "$states.[",
        ] {
            assert!(of(expression).is_err(), "{expression}");
        }
    }
}
