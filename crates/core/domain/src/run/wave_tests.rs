//! The order in which the stacks of any configuration are planned.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use super::tests::{decide, good, maybe, object, run, sealed_plan, stack, wave};
use super::*;
use crate::config::Stack;
use crate::error::ErrorName;
use crate::ids::{JobId, StackName};
use proptest::prelude::*;

/// Stacks that need only earlier stacks, and the result of each plan in turn.
fn stacks() -> impl Strategy<Value = (Vec<Stack>, Vec<u8>)> {
    (1..9_usize)
        .prop_flat_map(|count| {
            (
                prop::collection::vec(prop::collection::vec(any::<bool>(), count), count),
                prop::collection::vec(0..4_u8, 40),
            )
        })
        .prop_map(|(edges, fates)| {
            let stacks = edges
                .iter()
                .enumerate()
                .map(|(n, edges)| {
                    let needs: Vec<usize> = (0..n).filter(|m| edges[*m]).collect();
                    stack(n, &needs)
                })
                .collect();
            (stacks, fates)
        })
}

proptest! {
    #[test]
    fn every_wave_waits_for_what_it_needs_and_all_are_planned((stacks, fates) in stacks()) {
        let mut run = run(stacks);
        let mut fates = fates.into_iter();
        let mut rounds = 0;
        loop {
            let names = wave(&run);
            prop_assert_eq!(&wave(&run), &names, "asked again, the same answer");
            if names.is_empty() {
                break;
            }
            for name in &names {
                for need in run.stack(name).unwrap().spec().needs.clone() {
                    prop_assert!(run.stack(&need).unwrap().state().is_done());
                }
            }
            let inputs = |run: &Run, name: &StackName| run.inputs(run.stack(name).unwrap());
            let planned: Vec<_> = names.iter().map(|name| inputs(&run, name)).collect();
            for (name, planned) in names.into_iter().zip(planned) {
                // The apply has the inputs of the plan, whatever the rest of the wave did since.
                prop_assert_eq!(inputs(&run, &name), planned);
                let stack = run.open_stack(&name).unwrap();
                stack.outputs = Some(ObjectRef {
                    key: format!("outputs of {name}, round {rounds}"),
                    ..object()
                });
                // Stale plans are made again, but only up to the limit.
                stack.state = match fates.next() {
                    Some(0) if rounds < 20 => StackState::Pending,
                    Some(1) => StackState::Unchanged,
                    _ => StackState::Applied {
                        job: JobId::seal("apply", &name, 1, b""),
                    },
                };
            }
            rounds += 1;
            prop_assert!(rounds < 60);
        }
        prop_assert!(run.forward.stacks.iter().all(|stack| stack.state().is_done()));
    }

    #[test]
    fn a_rollback_always_ends((stacks, fates) in stacks(), kept in 0..9_usize) {
        let mut run = run(stacks.clone());
        for (stack, fate) in run.forward.stacks.iter_mut().zip(fates) {
            if fate < 2 {
                stack.state = maybe();
                stack.applied = Some(sealed_plan());
            }
        }
        let touched: Vec<StackName> = run
            .forward
            .stacks
            .iter()
            .filter(|stack| stack.has_side_effects())
            .map(|stack| stack.name().clone())
            .collect();
        let last = good(stacks[..kept.min(stacks.len())].to_vec());
        if decide(&mut run, ErrorName::ApplyFailed, Some(&last)) == ErrorDecision::Record {
            prop_assert!(touched.is_empty());
            return Ok(());
        }
        let mut seen = Vec::new();
        loop {
            let names = wave(&run);
            if names.is_empty() {
                break;
            }
            let inputs = |run: &Run, name: &StackName| run.inputs(run.stack(name).unwrap());
            let planned: Vec<_> = names.iter().map(|name| inputs(&run, name)).collect();
            for (name, planned) in names.into_iter().zip(planned) {
                prop_assert!(!seen.contains(&name));
                prop_assert_eq!(inputs(&run, &name), planned);
                let stack = run.open_stack(&name).unwrap();
                stack.state = StackState::Unchanged;
                stack.outputs = Some(object());
                seen.push(name);
            }
        }
        prop_assert_eq!(seen.len(), run.leg().stacks().len(), "every stack was planned");
        for name in touched {
            prop_assert!(seen.contains(&name), "{} was touched", name);
        }
    }
}
