#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use proptest::prelude::*;

const GOOD: &str = "version: 1
environment: production
stacks:
  - name: app
    dir: infra/app
    needs: [data]
  - name: data
    dir: infra/data
build:
  context: app
  test: ./test.sh
deploy:
  target: ecs
  stack: app
  container: shop
  count: 2
  health: { path: /health, timeout_seconds: 60 }
  version: { path: /version }
";

fn errors(text: &str) -> String {
    let errors = parse(text.as_bytes()).unwrap_err().errors;
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_good_file_comes_out_in_order_with_its_defaults() {
    let config = parse(GOOD.as_bytes()).unwrap();
    let names: Vec<_> = config
        .stacks
        .iter()
        .map(|stack| stack.name.as_str())
        .collect();
    assert_eq!(names, ["data", "app"]);
    assert_eq!(config.queue, QueueRule::Newest);
    assert_eq!(config.build.unwrap().dockerfile, "Dockerfile");
    assert_eq!(config.deploy.unwrap().health().timeout_seconds, 60);
}

#[test]
fn all_errors_come_at_once_each_with_its_place() {
    insta::assert_snapshot!(errors("version: 2
environment: Prod!
stacks:
  - name: a1
    dir: ../other
    needs: [zz]
  - name: a1
    dir: /etc
build: { test: '' }
deploy:
  target: ecs
  stack: nope
  container: c
  count: 0
  health: { path: health, timeout_seconds: 5 }
"), @r#"
sluicegate.yaml:1:10: CF012 version: found 2, expected the number 1
sluicegate.yaml:2:14: CF026 environment: "Prod!" is not an environment name: expected ^[a-z][a-z0-9-]{0,22}[a-z0-9]$
sluicegate.yaml:5:10: CF020 stacks[0].dir: "../other" has an empty, `.` or `..` part; expected a path inside the repository
sluicegate.yaml:6:13: CF030 stacks[0].needs[0]: no stack is called "zz"
sluicegate.yaml:7:11: CF011 stacks[1].name: duplicate stack "a1" (lines 4 and 7)
sluicegate.yaml:8:10: CF020 stacks[1].dir: "/etc" is absolute; expected a path inside the repository
sluicegate.yaml:9:16: CF028 build.test: is empty; expected the command that tests the application
sluicegate.yaml:12:10: CF030 deploy.stack: no stack is called "nope"
sluicegate.yaml:14:10: CF046 deploy.count: found 0, expected 1..1000 or `terraform`
sluicegate.yaml:15:19: CF051 deploy.health.path: "health" is not a path; expected `/` and printable ASCII
sluicegate.yaml:15:44: CF045 deploy.health.timeout_seconds: found 5, expected 30..3600
"#);
}

#[test]
fn the_number_of_tasks_is_a_number_or_left_to_terraform() {
    let count = |line: &str| {
        let config = parse(GOOD.replace("  count: 2\n", line).as_bytes()).unwrap();
        let Deploy::Ecs(ecs) = config.deploy.unwrap();
        ecs.count
    };
    assert_eq!(count("  count: 2\n"), TaskCount::Tasks(2));
    assert_eq!(count("  count: terraform\n"), TaskCount::Terraform);
    assert_eq!(count(""), TaskCount::Terraform);
    // What autoscaling has decided stays. A service without tasks gets one.
    for (live, change) in [(0, Some(1)), (1, None), (5, None)] {
        assert_eq!(TaskCount::Terraform.change(live), change);
    }
    for (live, change) in [(0, Some(2)), (2, None), (5, Some(2))] {
        assert_eq!(TaskCount::Tasks(2).change(live), change);
    }
    for (text, found) in [("1001", "1001"), ("-1", "-1"), ("auto", "auto")] {
        let text = GOOD.replace("count: 2", &format!("count: {text}"));
        let expected =
            format!("CF046 deploy.count: found {found}, expected 1..1000 or `terraform`");
        assert!(errors(&text).ends_with(&expected), "{}", errors(&text));
    }
}

#[test]
fn policies_have_defaults_and_limits() {
    let policies = parse(GOOD.as_bytes()).unwrap().policies;
    assert_eq!(policies, Policies::default());
    let text = "policies:
  protect: [aws_vpc, 'module.net[\"a b\"].aws_lb.this', '', 'a b', .x]
  max_deletion_percent: 101
  max_deletions: 0
";
    insta::assert_snapshot!(errors(&format!("{GOOD}{text}")), @r#"
    sluicegate.yaml:20:55: CF054 policies.protect[2]: "" is empty; expected a type such as aws_vpc, or an address such as module.edge.aws_lb.this
    sluicegate.yaml:20:59: CF054 policies.protect[3]: "a b" is neither a resource type nor an address; expected a type such as aws_vpc, or an address such as module.edge.aws_lb.this
    sluicegate.yaml:20:66: CF054 policies.protect[4]: ".x" is neither a resource type nor an address; expected a type such as aws_vpc, or an address such as module.edge.aws_lb.this
    sluicegate.yaml:21:25: CF055 policies.max_deletion_percent: found 101, expected 0..100
    "#);
}

#[test]
fn a_stack_is_in_the_file_or_removed_from_it() {
    let config = parse(format!("{GOOD}removed: {{ old: keep, older: destroy }}\n").as_bytes());
    let removed = config.unwrap().removed;
    let found: Vec<String> = removed
        .iter()
        .map(|(name, what)| format!("{name} {what}"))
        .collect();
    assert_eq!(found, ["old keep", "older destroy"]);
    let renamed = GOOD.replace("name: data\n", "name: data\n    renamed_from: app\n");
    let own = GOOD.replace("name: data\n", "name: data\n    renamed_from: data\n");
    let text = [
        errors(&format!("{GOOD}removed: {{ data: keep, Old!: keep }}\n")),
        errors(&renamed),
        errors(&own),
        errors(&format!("{GOOD}removed: {{ old: delete }}\n")),
    ];
    insta::assert_snapshot!(text.join("\n"));
}

/// A record keeps every alias in full.
#[test]
fn a_configuration_that_its_aliases_make_too_large_is_refused() {
    let globs = (0..20).map(|n| format!("{}/{n}/*.json", "g".repeat(200)));
    let globs = globs.collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "version: 1\nenvironment: production\nstacks:\n  - {{ name: s0, dir: d0, when_changed: &globs [{globs}] }}\n"
    );
    assert!(parse(text.as_bytes()).is_ok());
    for n in 1..10 {
        text.push_str(&format!(
            "  - {{ name: s{n}, dir: d{n}, when_changed: *globs }}\n"
        ));
    }
    assert!(text.len() < CONFIG_LIMIT);
    let error = errors(&text);
    assert!(error.contains("CF002"), "{error}");
    assert!(error.contains("at most 16384 are taken"), "{error}");
}

#[test]
fn names_of_stacks_can_be_exchanged_or_passed_on() {
    let states = |stacks: &str| {
        let text = format!("version: 1\nenvironment: production\nstacks:\n{stacks}");
        let config = parse(text.as_bytes()).unwrap();
        let state = |stack: &Stack| format!("{} {}", stack.name, stack.state());
        config.stacks.iter().map(state).collect::<Vec<_>>()
    };
    let exchanged =
        "  - { name: aa, dir: b, renamed_from: bb }\n  - { name: bb, dir: a, renamed_from: aa }\n";
    assert_eq!(states(exchanged), ["aa bb", "bb aa"]);
    let passed_on =
        "  - { name: aa, dir: b, renamed_from: bb }\n  - { name: bb, dir: c, renamed_from: cc }\n";
    assert_eq!(states(passed_on), ["aa bb", "bb cc"]);
}

#[test]
fn a_stack_says_when_it_is_planned() {
    let text = "version: 1
environment: production
stacks:
  - { name: aa, dir: a }
  - { name: bb, dir: b, when_changed: always }
  - { name: cc, dir: c, when_changed: [shared/**/*.json, lib/] }
";
    let config = parse(text.as_bytes()).unwrap();
    let when: Vec<&WhenChanged> = config.stacks.iter().map(|it| &it.when_changed).collect();
    let glob = |text: &str| PathGlob::parse(text).unwrap();
    assert_eq!(
        when,
        [
            &WhenChanged::Files(Vec::new()),
            &WhenChanged::Always,
            &WhenChanged::Files(vec![glob("shared/**/*.json"), glob("lib/")]),
        ]
    );
    let stored = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&stored).unwrap(), config);

    let errors = errors(
        "version: 1
environment: production
stacks:
  - { name: aa, dir: a, when_changed: never }
  - { name: bb, dir: b, when_changed: [ok/*, ../up, '/etc', 'a[b', 'x***'] }
",
    );
    insta::assert_snapshot!(errors);
    let many = vec!["a"; when_changed::MAX_GLOBS + 1].join(", ");
    insta::assert_snapshot!(super::tests::errors(&format!(
        "version: 1\nenvironment: production\nstacks:\n  - {{ name: aa, dir: a, when_changed: [{many}] }}\n"
    )));
    insta::assert_snapshot!(super::tests::errors(
        "version: 1\nenvironment: production\nstacks:\n  - { name: aa, dir: a, when_changed: { b: c } }\n"
    ));
}

#[test]
fn a_glob_matches_files_and_all_files_of_a_directory() {
    let matches = |glob: &str, path: &str| PathGlob::parse(glob).unwrap().matches(path);
    assert!(matches("modules/net/**", "modules/net/a/b.tf"));
    assert!(matches("modules/net", "modules/net/a/b.tf"));
    assert!(matches("modules/net/", "modules/net/b.tf"));
    assert!(matches("**/*.json", "a/b/c.json"));
    assert!(matches("*/x.[jt]son", "a/x.json"));
    assert!(!matches("*.json", "a/b.json"));
    assert!(!matches("modules/net", "modules/network/b.tf"));
}

#[test]
fn a_cycle_is_named() {
    insta::assert_snapshot!(errors("version: 1
environment: production
stacks:
  - { name: aa, dir: a, needs: [bb] }
  - { name: bb, dir: b, needs: [cc] }
  - { name: cc, dir: c, needs: [bb] }
"), @r#"sluicegate.yaml:5:13: CF031 stacks: cycle: bb -> cc -> bb"#);
}

/// The run's record and the state machine's time limits allow for this many.
#[test]
fn stacks_have_a_limit_and_so_has_a_row_of_them() {
    let config = |stacks: &[(String, String)]| {
        let stacks = stacks.iter().map(|(name, needs)| {
            format!("  - {{ name: {name}, dir: {name}, needs: [{needs}] }}\n")
        });
        "version: 1\nenvironment: production\nstacks:\n".to_owned() + &stacks.collect::<String>()
    };
    let many = |n: usize| -> Vec<_> { (1..=n).map(|i| (format!("s{i}"), String::new())).collect() };
    assert!(parse(config(&many(MAX_STACKS)).as_bytes()).is_ok());
    insta::assert_snapshot!(errors(&config(&many(MAX_STACKS + 2))), @"sluicegate.yaml:49:13: CF032 stacks: more than 45 stacks; split the repository");
    let row = |n: usize| -> Vec<_> {
        let need = |i: usize| {
            if i == 1 {
                String::new()
            } else {
                format!("s{}", i - 1)
            }
        };
        (1..=n).map(|i| (format!("s{i}"), need(i))).collect()
    };
    assert!(parse(config(&row(MAX_WAVES)).as_bytes()).is_ok());
    insta::assert_snapshot!(errors(&config(&row(MAX_WAVES + 2))), @"sluicegate.yaml:14:13: CF033 stacks: stack s11 comes after 10 others that need one another; expected 10 stacks in a row at most");
}

#[test]
fn what_is_not_of_the_right_shape_says_where() {
    insta::assert_snapshot!(errors("version: 1\nenvironment: production\nstack: []\n"), @r#"sluicegate.yaml:3:1: CF010 unknown field `stack`, expected one of version, environment, queue, approval, policies, stacks, removed, build, deploy"#);
    insta::assert_snapshot!(errors("version: 1\nversion: 1\nenvironment: production\n"), @r#"sluicegate.yaml:2:1: CF011 duplicate mapping key: version"#);
    insta::assert_snapshot!(errors("version: 1\nenvironment: [\n"), @r#"sluicegate.yaml:2:14: CF005 expected string scalar"#);
    insta::assert_snapshot!(errors("# nothing\n"), @r#"sluicegate.yaml: CF004 the file is empty; expected at least `version: 1`"#);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes).is_ok();
    }

    #[test]
    fn no_accepted_path_leaves_the_repository(path in "[a-z./\\\\~:-]{0,20}") {
        if check_path(&path).is_ok() {
            let joined = std::path::Path::new("/repo").join(&path);
            prop_assert!(joined.starts_with("/repo"));
            prop_assert!(!path.split('/').any(|part| part == ".."));
        }
    }
}

#[test]
fn a_test_command_is_a_command_and_not_a_script() {
    let config = |length: usize| {
        let test = "x".repeat(length);
        format!("version: 1\nenvironment: production\nstacks: []\nbuild: {{ test: {test} }}\n")
    };
    assert!(parse(config(4096).as_bytes()).is_ok());
    let errors = parse(config(4097).as_bytes()).unwrap_err().errors;
    assert_eq!(
        errors.first().unwrap().message,
        "has 4097 bytes, expected at most 4096; put the commands into a script of the repository"
    );
}
