//! The history of an execution: its states and how long they took.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The response of `GetExecutionHistory`, as the AWS CLI prints it.
#[derive(Debug, Deserialize)]
pub(super) struct History {
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    /// Seconds since 1970, as the API returns it and the AWS CLI prints it.
    timestamp: f64,
    #[serde(rename = "stateEnteredEventDetails")]
    entered: Option<Named>,
    #[serde(rename = "stateExitedEventDetails")]
    exited: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

/// A visit of a state.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Visit {
    /// The state's name.
    pub state: String,
    /// Counted from 1 for each state.
    pub number: usize,
    /// Seconds since the first event.
    pub from: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl History {
    /// Returns the number of state transitions that Step Functions charges: one for each entered state.
    #[must_use]
    pub(super) fn transitions(&self) -> usize {
        let entered = self.events.iter().filter(|event| event.entered.is_some());
        entered.count()
    }

    /// Returns the time of the first event, in seconds since 1970.
    #[must_use]
    pub(super) fn started(&self) -> Option<f64> {
        let times = self.events.iter().map(|event| event.timestamp);
        times.min_by(f64::total_cmp)
    }

    /// Returns the visits that ended, in the order of their starts.
    #[must_use]
    pub(super) fn visits(&self) -> Vec<Visit> {
        let Some(first) = self.started() else {
            return Vec::new();
        };
        let mut open: BTreeMap<&str, Vec<(usize, f64)>> = BTreeMap::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut visits = Vec::new();
        for event in &self.events {
            let at = event.timestamp - first;
            if let Some(Named { name }) = &event.entered {
                let number = numbers.entry(name).or_default();
                *number += 1;
                open.entry(name).or_default().push((*number, at));
            }
            if let Some(Named { name }) = &event.exited {
                let visited = open.entry(name).or_default();
                if visited.is_empty() {
                    continue;
                }
                let (number, from) = visited.remove(0);
                visits.push(Visit {
                    state: name.clone(),
                    number,
                    from,
                    seconds: at - from,
                });
            }
        }
        visits.sort_by(|one, other| one.from.total_cmp(&other.from));
        visits
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn visits_are_paired_by_name_and_transitions_counted() {
        let text = r#"{"events": [
            {"timestamp": 0.0, "type": "ExecutionStarted", "id": 1},
            {"timestamp": 1.0, "type": "MapStateEntered", "id": 2, "stateEnteredEventDetails": {"name": "PlanStacks", "input": "{}"}},
            {"timestamp": 1.5, "type": "TaskStateEntered", "id": 3, "stateEnteredEventDetails": {"name": "RunPlan"}},
            {"timestamp": 4.0, "type": "TaskStateExited", "id": 4, "stateExitedEventDetails": {"name": "RunPlan"}},
            {"timestamp": 5.0, "type": "MapStateExited", "id": 5, "stateExitedEventDetails": {"name": "PlanStacks"}},
            {"timestamp": 6.0, "type": "TaskStateEntered", "id": 6, "stateEnteredEventDetails": {"name": "RunPlan"}},
            {"timestamp": 8.0, "type": "TaskStateExited", "id": 7, "stateExitedEventDetails": {"name": "RunPlan"}},
            {"timestamp": 8.0, "type": "FailStateEntered", "id": 8, "stateEnteredEventDetails": {"name": "NotDelivered"}}
        ]}"#;
        let history: History = serde_json::from_str(text).unwrap();
        assert_eq!(history.transitions(), 4);
        let visits: Vec<String> = history
            .visits()
            .iter()
            .map(|visit| {
                format!(
                    "{} {} at {} s: {} s",
                    visit.state, visit.number, visit.from, visit.seconds
                )
            })
            .collect();
        insta::assert_snapshot!(visits.join("\n"), @r"
        PlanStacks 1 at 1 s: 4 s
        RunPlan 1 at 1.5 s: 2.5 s
        RunPlan 2 at 6 s: 2 s
        ");
    }
}
