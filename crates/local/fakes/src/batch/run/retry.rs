//! `retryStrategy`: decides whether a failed job gets another attempt.

use serde_json::{Value, json};

use crate::aws_json::{Refused, put, text};
use crate::batch::api::refuse;

/// The maximum number of conditions in a strategy.
const MOST_RULES: usize = 5;

/// The number of attempts and the conditions for a retry.
#[derive(Clone, Debug, Default)]
pub(in crate::batch) struct Strategy {
    pub(in crate::batch) attempts: u32,
    rules: Vec<Rule>,
}

/// One entry of `evaluateOnExit`. All its patterns must match.
#[derive(Clone, Debug)]
struct Rule {
    again: bool,
    exit_code: Option<Glob>,
    reason: Option<Glob>,
    status_reason: Option<Glob>,
}

/// A string, or a prefix when it ends with `*`.
#[derive(Clone, Debug)]
struct Glob(String);

/// The end of an attempt, as the conditions see it.
#[derive(Clone, Copy, Debug)]
pub(in crate::batch) struct End<'a> {
    pub(in crate::batch) exit_code: Option<i32>,
    pub(in crate::batch) reason: Option<&'a str>,
    pub(in crate::batch) status_reason: &'a str,
}

impl Strategy {
    /// Returns the strategy of a `SubmitJob`, or else of its job definition.
    pub(in crate::batch) fn of(request: &Value, definition: &Value) -> Result<Self, Refused> {
        let asked = |from: &Value| {
            let strategy = from.get("retryStrategy");
            strategy.filter(|strategy| !strategy.is_null()).cloned()
        };
        let strategy = asked(request).or_else(|| asked(definition));
        Self::parse(&strategy.unwrap_or_else(|| json!({})))
    }

    /// Parses a `retryStrategy`. Refuses one that AWS refuses.
    pub(in crate::batch) fn parse(strategy: &Value) -> Result<Self, Refused> {
        let attempts = strategy.get("attempts").and_then(Value::as_u64);
        let rules = strategy.get("evaluateOnExit").and_then(Value::as_array);
        let rules: Vec<&Value> = rules.into_iter().flatten().collect();
        if rules.len() > MOST_RULES {
            return refuse("retryStrategy.evaluateOnExit must hold at most 5 conditions");
        }
        if !rules.is_empty() && attempts.is_none() {
            return refuse("retryStrategy.evaluateOnExit needs retryStrategy.attempts");
        }
        let attempts = match attempts.unwrap_or(1) {
            attempts @ 1..=10 => u32::try_from(attempts).unwrap_or(1),
            _ => return refuse("retryStrategy.attempts must be between 1 and 10"),
        };
        let rules = rules.into_iter().map(Rule::parse).collect::<Result<_, _>>();
        Ok(Self {
            attempts,
            rules: rules?,
        })
    }

    /// Returns whether another attempt follows. The first matching rule decides; without a match, the
    /// job is retried.
    pub(in crate::batch) fn tries_again(&self, attempt: u32, end: End<'_>) -> bool {
        let rule = self.rules.iter().find(|rule| rule.fits(end));
        attempt < self.attempts && rule.is_none_or(|rule| rule.again)
    }

    /// Returns the strategy as `DescribeJobs` represents it.
    pub(in crate::batch) fn shown(&self) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(Rule::shown).collect();
        json!({ "attempts": self.attempts, "evaluateOnExit": rules })
    }
}

impl Rule {
    fn parse(rule: &Value) -> Result<Self, Refused> {
        let again = match text(rule, "action").map(str::to_ascii_uppercase).as_deref() {
            Some("RETRY") => true,
            Some("EXIT") => false,
            _ => return refuse("evaluateOnExit.action must be RETRY or EXIT"),
        };
        let words =
            |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':' || c.is_whitespace();
        Ok(Self {
            again,
            exit_code: Glob::parse(rule, "onExitCode", |c| c.is_ascii_digit())?,
            reason: Glob::parse(rule, "onReason", words)?,
            status_reason: Glob::parse(rule, "onStatusReason", words)?,
        })
    }

    fn fits(&self, end: End<'_>) -> bool {
        let code = end.exit_code.map(|code| code.to_string());
        let fits =
            |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.fits(text));
        fits(&self.exit_code, code.as_deref().unwrap_or_default())
            && fits(&self.reason, end.reason.unwrap_or_default())
            && fits(&self.status_reason, end.status_reason)
    }

    fn shown(&self) -> Value {
        let mut shown = json!({ "action": if self.again { "RETRY" } else { "EXIT" } });
        for (name, glob) in [
            ("onExitCode", &self.exit_code),
            ("onReason", &self.reason),
            ("onStatusReason", &self.status_reason),
        ] {
            put(&mut shown, name, glob.as_ref().map(|glob| glob.0.clone()));
        }
        shown
    }
}

impl Glob {
    fn parse(
        rule: &Value,
        name: &str,
        allowed: impl Fn(char) -> bool,
    ) -> Result<Option<Self>, Refused> {
        let Some(pattern) = text(rule, name) else {
            return Ok(None);
        };
        let start = pattern.strip_suffix('*').unwrap_or(pattern);
        if pattern.is_empty() || pattern.len() > 512 || !start.chars().all(allowed) {
            return refuse(format!(
                "evaluateOnExit.{name} is not a pattern: {pattern:?}"
            ));
        }
        Ok(Some(Self(pattern.to_owned())))
    }

    fn fits(&self, text: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => text == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(exit_code: Option<i32>, status_reason: &str) -> End<'_> {
        End {
            exit_code,
            reason: None,
            status_reason,
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_without_one_the_job_is_tried_again() {
        let tries = |rules: Value, end: End<'_>| {
            Strategy::parse(&json!({ "attempts": 2, "evaluateOnExit": rules }))
                .map(|strategy| strategy.tries_again(1, end))
                .ok()
        };
        let exited = "Essential container in task exited";
        let exit = json!({ "action": "exit", "onReason": "*" });
        let term = json!({ "action": "Retry", "onExitCode": "143" });
        let both = json!({ "action": "RETRY", "onExitCode": "1*", "onStatusReason": "Essential*" });
        let ordered = json!([term, exit]);
        assert_eq!(tries(ordered.clone(), end(Some(143), exited)), Some(true));
        assert_eq!(tries(ordered, end(Some(1), exited)), Some(false));
        assert_eq!(
            tries(json!([exit, term]), end(Some(143), exited)),
            Some(false)
        );
        assert_eq!(
            tries(json!([both, exit]), end(Some(137), exited)),
            Some(true)
        );
        assert_eq!(
            tries(json!([both, exit]), end(Some(137), "Host")),
            Some(false)
        );
        assert_eq!(tries(json!([both, exit]), end(None, exited)), Some(false));
        assert_eq!(tries(json!([term]), end(Some(9), exited)), Some(true));
        assert_eq!(tries(json!([]), end(Some(9), exited)), Some(true));
    }

    #[test]
    fn what_aws_does_not_take_is_refused() {
        let action = json!({ "action": "EXIT" });
        for strategy in [
            json!({ "attempts": 11 }),
            json!({ "attempts": 0 }),
            json!({ "evaluateOnExit": [action] }),
            json!({ "attempts": 2, "evaluateOnExit": vec![action.clone(); 6] }),
            json!({ "attempts": 2, "evaluateOnExit": [{ "onExitCode": "1" }] }),
            json!({ "attempts": 2, "evaluateOnExit": [{ "action": "EXIT", "onExitCode": "1*3" }] }),
            json!({ "attempts": 2, "evaluateOnExit": [{ "action": "EXIT", "onReason": "a-b" }] }),
        ] {
            assert!(Strategy::parse(&strategy).is_err(), "{strategy}");
        }
    }
}
