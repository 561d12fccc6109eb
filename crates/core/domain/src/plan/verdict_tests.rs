#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use crate::plan::{Action, OutputsChange};
use proptest::prelude::*;

const DEPLOY: &str = "build: { context: app, test: ./test.sh }
deploy: { target: ecs, stack: app, container: shop, health: { path: /health } }
";

fn config(more: &str) -> Config {
    let stacks = "stacks: [{ name: data, dir: data }, { name: app, dir: app }]\n";
    let text = format!("version: 1\nenvironment: production\n{stacks}{more}");
    crate::config::parse(text.as_bytes()).unwrap()
}

fn change(kind: &str, action: Action) -> ResourceChange {
    ResourceChange {
        address: format!("{kind}.this"),
        resource_type: kind.into(),
        origin: None,
        action,
    }
}

fn summary(changes: &[(&str, Action)], outputs_change: OutputsChange) -> PlanSummary {
    PlanSummary {
        changes: changes
            .iter()
            .map(|(kind, action)| change(kind, *action))
            .collect(),
        outputs_change,
        resources: 100,
        ..PlanSummary::default()
    }
}

fn judged(plan: &PlanSummary, config: &Config) -> Judgement {
    let stack = StackName::parse("app").unwrap();
    judge(plan, PlanKind::Normal, &Rules::of(config, &stack)).unwrap()
}

/// Returns the verdict and the reasons of a plan, one in a line.
fn shown(plan: &PlanSummary, config: &Config) -> String {
    let Judgement { verdict, reasons } = judged(plan, config);
    let reasons = reasons.kept.iter().map(|reason| format!("\n  {reason}"));
    reasons.fold(verdict.as_str().to_owned(), |text, line| text + &line)
}

/// The verdict for each approval rule.
#[test]
fn a_plan_is_judged_by_the_rule() {
    use Verdict::{Auto, NeedsApproval, NoChanges};
    let (rule, queue) = ("aws_lb_listener_rule", "aws_sqs_queue");
    let none = OutputsChange::None;
    let cases = [
        (summary(&[], none), [NoChanges; 3]),
        (
            summary(&[], OutputsChange::Some),
            [Auto, NeedsApproval, Auto],
        ),
        (
            summary(&[(queue, Action::Create)], none),
            [Auto, NeedsApproval, Auto],
        ),
        (
            summary(&[(queue, Action::Update)], none),
            [Auto, NeedsApproval, Auto],
        ),
        (
            summary(&[(queue, Action::Forget)], none),
            [Auto, NeedsApproval, Auto],
        ),
        (
            summary(&[(rule, Action::Delete)], none),
            [Auto, NeedsApproval, NeedsApproval],
        ),
        (
            summary(&[(rule, Action::Replace)], none),
            [Auto, NeedsApproval, NeedsApproval],
        ),
        (
            summary(&[(queue, Action::Delete)], none),
            [NeedsApproval, NeedsApproval, NeedsApproval],
        ),
    ];
    for (plan, [never, always, on_destroy]) in cases {
        for (text, expected) in [
            ("never", never),
            ("always", always),
            ("on-destroy", on_destroy),
        ] {
            let config = config(&format!("approval: {text}\n"));
            let found = judged(&plan, &config);
            assert_eq!(found.verdict, expected, "{text}: {plan:?}");
            let asks = found.verdict == NeedsApproval;
            assert_eq!(!found.reasons.kept.is_empty(), asks, "{text}: {plan:?}");
        }
    }
}

#[test]
fn whatever_is_not_known_to_be_stateless_needs_an_approval_whatever_the_rule() {
    let mut plan = summary(
        &[
            ("aws_cloudwatch_log_group", Action::Replace),
            ("aws_s3_bucket", Action::Delete),
            ("aws_security_group_rule", Action::Replace),
            ("example_unknown", Action::Delete),
            ("random_password", Action::Replace),
            ("aws_dynamodb_table", Action::Update),
        ],
        OutputsChange::None,
    );
    insta::assert_snapshot!(shown(&plan, &config("approval: never\n")), @r"
    needs-approval
      replaces aws_cloudwatch_log_group.this, which may hold data
      deletes aws_s3_bucket.this, which may hold data
      deletes example_unknown.this, which may hold data
      replaces random_password.this, which may hold data
    ");
    plan.changes
        .retain(|change| change.resource_type == "aws_security_group_rule");
    assert_eq!(judged(&plan, &config("")).verdict, Verdict::Auto);
}

#[test]
fn what_the_policies_protect_needs_an_approval_by_type_and_by_address() {
    let policies = "policies: { protect: [aws_lb_listener, module.edge.aws_lb_target_group.blue, module.old] }\n";
    let address = |address: &str, kind: &str| ResourceChange {
        address: address.into(),
        ..change(kind, Action::Delete)
    };
    let plan = PlanSummary {
        changes: vec![
            change("aws_lb_listener", Action::Replace),
            change("aws_lb_listener_rule", Action::Replace),
            address(
                "module.edge.aws_lb_target_group.blue[\"a\"]",
                "aws_lb_target_group",
            ),
            address(
                "module.edge.aws_lb_target_group.blues",
                "aws_lb_target_group",
            ),
            address("module.old[0].null_resource.this", "null_resource"),
            address("module.older.null_resource.this", "null_resource"),
        ],
        resources: 100,
        ..PlanSummary::default()
    };
    insta::assert_snapshot!(shown(&plan, &config(policies)), @r#"
    needs-approval
      replaces aws_lb_listener.this, which `policies.protect` names
      deletes module.edge.aws_lb_target_group.blue["a"], which `policies.protect` names
      deletes module.old[0].null_resource.this, which `policies.protect` names
    "#);
    assert_eq!(judged(&plan, &config("")).verdict, Verdict::Auto);
}

#[test]
fn a_tainted_resource_is_replaced_after_an_approval() {
    let mut plan = summary(&[("null_resource", Action::Replace)], OutputsChange::None);
    assert_eq!(judged(&plan, &config("")).verdict, Verdict::Auto);
    plan.tainted = vec!["null_resource.this".into()];
    insta::assert_snapshot!(shown(&plan, &config("")), @r"
    needs-approval
      replaces null_resource.this, which an earlier apply left tainted
    ");
}

#[test]
fn many_deletions_and_a_large_part_of_a_stack_need_an_approval() {
    let rules = |count: usize, resources: usize| PlanSummary {
        changes: vec![change("aws_route", Action::Delete); count],
        resources,
        ..PlanSummary::default()
    };
    let usual = config("");
    assert_eq!(judged(&rules(10, 50), &usual).verdict, Verdict::Auto);
    insta::assert_snapshot!(shown(&rules(11, 50), &usual), @r"
    needs-approval
      deletes 11 resources, more than 10 (`policies.max_deletions`)
      deletes 11 of 50 resources, more than 20 % (`policies.max_deletion_percent`)
    ");
    insta::assert_snapshot!(shown(&rules(2, 9), &usual), @r"
    needs-approval
      deletes 2 of 9 resources, more than 20 % (`policies.max_deletion_percent`)
    ");
    let lax = config("policies: { max_deletions: 1000, max_deletion_percent: 100 }\n");
    assert_eq!(judged(&rules(11, 11), &lax).verdict, Verdict::Auto);
    let strict = config("policies: { max_deletions: 0, max_deletion_percent: 0 }\n");
    assert_eq!(
        judged(&rules(1, 1000), &strict).verdict,
        Verdict::NeedsApproval
    );
    // What is replaced exists afterwards.
    let replaced = PlanSummary {
        changes: vec![change("aws_route", Action::Replace); 11],
        resources: 11,
        ..PlanSummary::default()
    };
    assert_eq!(judged(&replaced, &usual).verdict, Verdict::Auto);
}

#[test]
fn a_stack_is_destroyed_after_an_approval() {
    let plan = summary(&[("null_resource", Action::Delete)], OutputsChange::None);
    let (config, stack) = (config(""), StackName::parse("data").unwrap());
    let found = judge(&plan, PlanKind::Destroy, &Rules::of(&config, &stack)).unwrap();
    assert_eq!(found.verdict, Verdict::NeedsApproval);
    assert_eq!(found.reasons.kept, [Reason::DestroysStack]);
}

#[test]
fn a_plan_that_changes_the_deployed_service_is_refused_with_the_line_to_add() {
    let change = ServiceChange {
        address: "module.web.aws_ecs_service.this[0]".into(),
        fields: vec![ServiceField::TaskDefinition, ServiceField::DesiredCount],
    };
    let plan = PlanSummary {
        services: vec![change],
        ..summary(&[("aws_ecs_service", Action::Update)], OutputsChange::None)
    };
    let (deploys, stack) = (config(DEPLOY), |name| StackName::parse(name).unwrap());
    let judge = |config: &Config, name| {
        let stack = stack(name);
        judge(&plan, PlanKind::Normal, &Rules::of(config, &stack)).map(|found| found.verdict)
    };
    insta::assert_snapshot!(judge(&deploys, "app").unwrap_err().to_string(), @r"
    changes task_definition and desired_count of module.web.aws_ecs_service.this[0], which `deploy` sets: the apply would stop or replace the running tasks. Add this line to the resource: `lifecycle { ignore_changes = [task_definition, desired_count] }`
    ");
    // No deployment to this service.
    assert_eq!(judge(&deploys, "data"), Ok(Verdict::Auto));
    assert_eq!(judge(&config(""), "app"), Ok(Verdict::Auto));
}

#[test]
fn protected_types_are_sorted_and_unique_and_none_is_stateless() {
    assert!(PROTECTED_TYPES.is_sorted_by(|a, b| a < b));
    let stateless = |kind: &&&str| STATELESS_TYPES.contains(kind);
    assert_eq!(PROTECTED_TYPES.iter().find(stateless), None);
}

proptest! {
    /// Whatever else the plan does.
    #[test]
    fn no_plan_removes_something_with_data_unasked(
        kinds in prop::collection::vec(0..6_usize, 0..30), at in any::<prop::sample::Index>(),
        rule in prop::sample::select(vec!["never", "always", "on-destroy"]),
        action in prop::sample::select(vec![Action::Delete, Action::Replace]),
    ) {
        let harmless = [Action::Create, Action::Update, Action::Forget];
        let mut changes: Vec<ResourceChange> = kinds
            .iter()
            .map(|n| match harmless.get(*n) {
                Some(action) => change("aws_sqs_queue", *action),
                None => change("aws_route", Action::Delete),
            })
            .collect();
        changes.insert(at.index(changes.len() + 1), change("aws_kinesis_stream", action));
        let plan = PlanSummary { changes, ..PlanSummary::default() };
        let config = config(&format!("approval: {rule}\n"));
        prop_assert_eq!(judged(&plan, &config).verdict, Verdict::NeedsApproval);
    }
}
