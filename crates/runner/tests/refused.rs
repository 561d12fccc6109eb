//! Jobs that fail before Terraform changes anything, and failures that only a fake Terraform can
//! show.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod common;

use std::io::{Cursor, Write};
use std::time::Duration;

use common::{Bench, CONFIG, LOCK, MAIN, failure, repository};
use domain::config::CONFIG_FILE;
use domain::error::{ErrorName, StepError};
use domain::ids::StackName;
use domain::job::{JobOutcome, Verb};
use domain::keys::JobFile;
use domain::plan::{MAX_PLAN_JSON, SideEffects};
use runner::job::Ended;
use zip::write::SimpleFileOptions;

/// Creates a file as soon as it is started.
const MARKER: &str = "touch $TEMP/started";

/// Returns the central directory of a plan file as text.
fn plan() -> String {
    let nothing = |count| "\0".repeat(count);
    let table = format!("PK\x01\x02{}\x06{}tfplan", nothing(24), nothing(17));
    let end = format!(
        "PK\x05\x06{}\x34{}\x04{}",
        nothing(8),
        nothing(3),
        nothing(5)
    );
    format!("PK\x03\x04{table}{end}")
}

#[tokio::test]
async fn hostile_repositories_are_refused_before_terraform_starts() {
    let local = "terraform {\n  backend \"local\" {}\n}\n";
    let plan = plan();
    // The corpus of tests/source_rules has the other rules.
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("infra/app/.terraform/providers/x", "")],
            "infra/app/.terraform: CF060 is Terraform's working directory",
        ),
        (
            &[("infra/app/plan.out", plan.as_str())],
            "infra/app/plan.out: CF060 is a Terraform plan",
        ),
        (
            &[("infra/app/other.tf", local), ("old.tfstate", "{}")],
            "infra/app/other.tf:2: CF072 has the backend \"local\"",
        ),
    ];
    for (extra, expected) in cases {
        let bench = Bench::scripted(MARKER);
        let mut files = repository("locals {}\n");
        files.extend_from_slice(extra);
        let outcome = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
        let (name, message) = failure(&outcome);
        assert_eq!(name, ErrorName::SourceRefused, "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("; expected ") && message.contains("; fix: "),
            "{message}"
        );
        assert!(
            !bench.temp.path().join("started").exists(),
            "terraform was started"
        );
        assert!(
            !bench.temp.path().join("github-7-production-app").exists(),
            "left behind"
        );
    }
}

#[tokio::test]
async fn a_job_is_for_a_stack_of_its_source() {
    let bench = Bench::scripted(MARKER);
    for (dir, stack) in [
        ("infra/none", "app"),
        ("infra/app/", "app"),
        ("../app", "app"),
        ("infra/app", "data"),
    ] {
        let mut spec = bench.spec(Verb::Plan, &repository("locals {}\n"));
        dir.clone_into(&mut spec.dir);
        spec.stack = StackName::parse(stack).unwrap();
        let outcome = bench.end_of(&spec).await;
        let (name, message) = failure(&outcome);
        assert_eq!(name, ErrorName::ContractViolation, "{message}");
        assert!(message.contains("does not have"), "{message}");
    }
    assert!(
        !bench.temp.path().join("started").exists(),
        "terraform was started"
    );
}

type Zip = zip::ZipWriter<Cursor<Vec<u8>>>;

fn build(fill: impl Fn(&mut Zip)) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut writer);
    writer.finish().unwrap().into_inner()
}

/// Runs a plan job whose source is this archive.
async fn outcome_of_archive(bytes: &[u8]) -> JobOutcome {
    let bench = Bench::scripted(MARKER);
    let mut spec = bench.spec(Verb::Plan, &repository("locals {}\n"));
    spec.source = bench.put("sources/hostile.zip", bytes);
    let outcome = bench.end_of(&spec).await;
    assert!(
        !bench.temp.path().join("started").exists(),
        "terraform was started"
    );
    outcome
}

#[tokio::test]
async fn hostile_archives_are_refused() {
    let plain = SimpleFileOptions::default();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"no zip at all".to_vec(), "it cannot be read"),
        (
            build(|zip| zip.start_file("../up", plain).unwrap()),
            "it leaves the repository",
        ),
        (
            build(|zip| zip.start_file("a/../../up", plain).unwrap()),
            "it leaves the repository",
        ),
        (
            build(|zip| zip.start_file("/etc/x", plain).unwrap()),
            "it leaves the repository",
        ),
        (
            build(|zip| zip.start_file("a\\b", plain).unwrap()),
            "it has a backslash",
        ),
        (
            build(|zip| zip.start_file("a\nb", plain).unwrap()),
            "it has a control character",
        ),
        (
            build(|zip| zip.start_file("a/".repeat(150) + "b", plain).unwrap()),
            "it has 301 bytes",
        ),
        (
            build(|zip| zip.add_symlink("l", "/etc/passwd", plain).unwrap()),
            "symbolic link to \"/etc/passwd\"",
        ),
        (
            build(|zip| zip.add_symlink("a/l", "../../x", plain).unwrap()),
            "symbolic link to \"../../x\"",
        ),
        (
            build(|zip| zip.add_symlink("l", "nowhere", plain).unwrap()),
            "symbolic link to \"nowhere\"",
        ),
        (
            build(|zip| {
                zip.add_symlink("d", "e", plain).unwrap();
                zip.start_file("d/file", plain).unwrap();
            }),
            "is below \"d\", which is a symbolic link",
        ),
        (
            // Each link alone stays inside; together they leave the directory.
            build(|zip| {
                zip.start_file("p/q/file", plain).unwrap();
                zip.add_symlink("p/q/up", "..", plain).unwrap();
                zip.add_symlink("out", "p/q/up/../..", plain).unwrap();
            }),
            "\"out\": it is a symbolic link",
        ),
        (
            build(|zip| {
                zip.start_file("zeros", plain).unwrap();
                let megabyte = vec![0; 1024 * 1024];
                for _ in 0..129 {
                    zip.write_all(&megabyte).unwrap();
                }
            }),
            "\"zeros\": it is larger than 134217728 bytes",
        ),
        (
            build(|zip| {
                for index in 0..20_001 {
                    zip.start_file(format!("f{index}"), plain).unwrap();
                }
            }),
            "it has 20001 entries; expected at most 20000",
        ),
    ];
    for (bytes, expected) in cases {
        let outcome = outcome_of_archive(&bytes).await;
        let (name, message) = failure(&outcome);
        assert_eq!(name, ErrorName::SourceRefused, "{message}");
        assert!(
            message.contains(expected),
            "{message}\nexpected: {expected}"
        );
    }
}

#[tokio::test]
async fn links_inside_the_repository_are_followed() {
    let Some(bench) = Bench::real() else { return };
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let plain = SimpleFileOptions::default();
    for (path, text) in [
        ("shared/name.txt", "shop"),
        (CONFIG_FILE, CONFIG),
        (LOCK, ""),
        (
            MAIN,
            "output \"name\" {\n  value = file(\"../../shared/link.txt\")\n}\n",
        ),
    ] {
        writer.start_file(path, plain).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer
        .add_symlink("shared/link.txt", "name.txt", plain)
        .unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let mut spec = bench.spec(Verb::Plan, &repository(""));
    spec.source = bench.put("sources/links.zip", &bytes);
    let outcome = bench.end_of(&spec).await;
    assert!(matches!(outcome, JobOutcome::Planned { .. }), "{outcome:?}");
}

#[tokio::test]
async fn specs_and_archives_must_be_the_sealed_ones() {
    let bench = Bench::scripted(MARKER);
    let files = repository("locals {}\n");
    let spec = bench.spec(Verb::Plan, &files);
    bench.objects.set(&spec.source.key, b"other".to_vec());
    let outcome = bench.end_of(&spec).await;
    assert_eq!(failure(&outcome).0, ErrorName::PlanTampered);

    let mut request = bench.seal(&bench.spec(Verb::Plan, &files));
    let key = request.objects.job(&request.job, JobFile::Spec);
    let text = String::from_utf8(bench.objects.peek(&key).unwrap()).unwrap();
    bench
        .objects
        .set(&key, text.replace("acme/shop", "acme/evil"));
    let Ended::Written(result) = bench.run(&request).await.unwrap() else {
        panic!()
    };
    assert_eq!(failure(&result.outcome).0, ErrorName::PlanTampered);
    assert!(bench.peek(&request, JobFile::Started).is_none());

    request = bench.seal(&bench.spec(Verb::Plan, &files));
    request.verb = Verb::Apply;
    let Ended::Written(result) = bench.run(&request).await.unwrap() else {
        panic!()
    };
    let (name, message) = failure(&result.outcome);
    assert_eq!(name, ErrorName::ContractViolation);
    assert!(message.contains("the command says apply"), "{message}");

    request = bench.seal(&bench.spec(Verb::Plan, &files));
    bench
        .objects
        .remove(&request.objects.job(&request.job, JobFile::Spec));
    let Ended::Written(result) = bench.run(&request).await.unwrap() else {
        panic!()
    };
    assert!(
        failure(&result.outcome)
            .1
            .starts_with("no job spec at runs/"),
        "{result:?}"
    );
    assert!(
        !bench.temp.path().join("started").exists(),
        "terraform was started"
    );
}

#[tokio::test]
async fn a_second_start_is_refused_for_good() {
    let bench = Bench::scripted("exit 1");
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    assert!(matches!(
        bench.run(&request).await.unwrap(),
        Ended::Written(_)
    ));
    let first = bench.stored(&request);

    let started = request.objects.job(&request.job, JobFile::Started);
    bench.objects.set(&started, b"another process".to_vec());
    assert!(matches!(
        bench.run(&request).await.unwrap(),
        Ended::Finished { exit_code: 0 }
    ));
    assert_eq!(bench.stored(&request), first, "the first result stands");
    bench
        .objects
        .remove(&request.objects.job(&request.job, JobFile::Result));
    assert!(matches!(
        bench.run(&request).await.unwrap(),
        Ended::StartedBefore
    ));
    assert!(bench.peek(&request, JobFile::Result).is_none());
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_known_again() {
    let bench = Bench::scripted("exit 1");
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    let lost = StepError::new(ErrorName::AwsUnavailable, "no answer");
    bench.objects.lose_reply("put_if_absent", lost.clone(), 1);
    assert!(matches!(
        bench.run(&request).await.unwrap(),
        Ended::Written(_)
    ));

    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    bench.objects.fail_next("put_if_absent", lost, 1);
    assert_eq!(
        bench.run(&request).await.unwrap_err().name,
        ErrorName::AwsUnavailable
    );
    assert!(bench.peek(&request, JobFile::Started).is_none());
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_gives_no_result() {
    let bench = Bench::scripted(MARKER);
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    let error = StepError::new(ErrorName::AwsUnavailable, "no answer");
    bench.objects.fail_next("get", error, 1);
    assert_eq!(
        bench.run(&request).await.unwrap_err().name,
        ErrorName::AwsUnavailable
    );
    assert!(bench.peek(&request, JobFile::Result).is_none());
    assert!(matches!(
        bench.run(&request).await.unwrap(),
        Ended::Written(_)
    ));
}

/// What the scripted terraform shows of any plan file, without the line end.
const SHOWN: &str = r#"{"format_version":"1.2","terraform_version":"1.11.4"}"#;

/// A scripted terraform that reaches the apply.
fn applying(apply: &str) -> String {
    format!(
        r#"case "$1" in
version) echo '{{"terraform_version":"1.11.4","platform":"linux_amd64"}}' ;;
init) mkdir .terraform; echo '{{"backend":{{"type":"local","config":{{"path":"'$TEMP'/app.tfstate"}}}}}}' > .terraform/terraform.tfstate ;;
show) echo '{SHOWN}' ;;
apply) {apply} ;;
state) exit 1 ;;
esac"#
    )
}

async fn apply_with(bench: &Bench) -> (JobOutcome, runner::job::Request) {
    let mut spec = bench.spec(Verb::Apply, &repository("locals {}\n"));
    spec.plan = Some(bench.plan(SHOWN));
    let request = bench.seal(&spec);
    let Ended::Written(result) = bench.run(&request).await.unwrap() else {
        panic!("no result")
    };
    (result.outcome, request)
}

#[tokio::test]
async fn a_state_that_could_not_be_written_is_rescued() {
    let bench = Bench::scripted(&applying("echo rescued > errored.tfstate; exit 1"));
    let (outcome, request) = apply_with(&bench).await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::StateUnwritten);
    assert!(
        message.contains("a copy is at runs/") && message.contains("errored.tfstate for a week"),
        "{message}"
    );
    assert_eq!(
        bench.peek(&request, JobFile::ErroredState).unwrap(),
        b"rescued\n"
    );
}

#[tokio::test]
async fn a_plan_that_renders_otherwise_than_it_was_judged_is_not_applied() {
    let script = applying("touch $TEMP/applied").replace(SHOWN, r#"{"format_version":"1.3"}"#);
    let bench = Bench::scripted(&script);
    let (outcome, _) = apply_with(&bench).await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanTampered);
    assert!(message.contains("does not render as"), "{message}");
    assert!(!bench.temp.path().join("applied").exists());
}

#[tokio::test]
async fn a_plan_that_terraform_cannot_render_is_a_failed_apply() {
    let script = applying("touch $TEMP/applied").replace(&format!("echo '{SHOWN}'"), "exit 1");
    let bench = Bench::scripted(&script);
    let (outcome, _) = apply_with(&bench).await;
    assert_eq!(failure(&outcome).0, ErrorName::ApplyFailed, "{outcome:?}");
    assert!(!bench.temp.path().join("applied").exists());
}

/// Its user learns of it from the plan job, not from the Lambda that judges.
#[tokio::test]
async fn a_plan_that_is_too_large_to_be_judged_fails_in_its_own_job() {
    let Some(Bench { terraform, .. }) = Bench::real() else {
        return;
    };
    let (size, terraform) = (MAX_PLAN_JSON + 1, terraform.display());
    let bench = Bench::scripted(&format!(
        "if [ \"$1\" = show ]; then exec head -c {size} /dev/zero; fi\nexec {terraform} \"$@\""
    ));
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    bench.run(&request).await.unwrap();
    let outcome = bench.stored(&request).outcome;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanFailed);
    assert!(message.contains("larger than 64 MiB"), "{message}");
    assert!(message.contains("into another stack"), "{message}");
    assert!(bench.peek(&request, JobFile::PlanJson).is_none());
}

#[tokio::test]
async fn a_terraform_that_does_not_stop_is_killed_and_the_result_says_so() {
    let hook = r#"echo '{"type":"apply_start","@message":"m","hook":{"resource":{"addr":"t.a","resource_type":"t"},"action":"create"}}'"#;
    let mut bench = Bench::scripted(&applying(&format!(
        "trap '' TERM; {hook}; sleep 60 & wait; wait"
    )));
    bench.grace = Duration::from_millis(300);
    let mut spec = bench.spec(Verb::Apply, &repository("locals {}\n"));
    spec.timeout_seconds = 1;
    spec.plan = Some(bench.plan(SHOWN));
    let outcome = bench.end_of(&spec).await;
    let JobOutcome::Failed {
        error,
        side_effects,
        ..
    } = &outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (error.name, *side_effects),
        (ErrorName::Interrupted, SideEffects::Unrecorded)
    );
    assert!(
        error
            .message
            .contains("had to be killed; unknown: t.a (create)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_init_has_the_error_of_the_verb() {
    let script = applying("touch $TEMP/applied").replace("init) mkdir", "init) exit 1; mkdir");
    let bench = Bench::scripted(&script);
    let (outcome, _) = apply_with(&bench).await;
    assert_eq!(failure(&outcome).0, ErrorName::ApplyFailed, "{outcome:?}");
    assert!(!bench.temp.path().join("applied").exists());

    let plan = bench.spec(Verb::Plan, &repository("locals {}\n"));
    let outcome = bench.end_of(&plan).await;
    assert_eq!(failure(&outcome).0, ErrorName::PlanFailed, "{outcome:?}");
}

#[tokio::test]
async fn an_init_that_takes_another_backend_ends_the_job() {
    let script = applying("touch $TEMP/applied").replace("/app.tfstate", "/elsewhere.tfstate");
    let bench = Bench::scripted(&script);
    let (outcome, _) = apply_with(&bench).await;
    assert_eq!(failure(&outcome).0, ErrorName::SourceRefused);
    assert!(
        failure(&outcome)
            .1
            .contains("did not take the pipeline's backend"),
        "{outcome:?}"
    );
    assert!(!bench.temp.path().join("applied").exists());
}
