#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use engine::fakes::samples;
use proptest::prelude::*;

fn file(path: &str, kind: FileKind, text: &str) -> SnapshotFile {
    SnapshotFile {
        path: path.into(),
        kind,
        bytes: text.into(),
    }
}

/// Returns the sample commit with more files.
fn with(files: impl IntoIterator<Item = SnapshotFile>) -> Snapshot {
    let mut snapshot = samples::snapshot(1);
    snapshot.files.extend(files);
    snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
    snapshot
}

fn without(prefix: &str) -> Snapshot {
    let mut snapshot = samples::snapshot(1);
    snapshot.files.retain(|file| !file.path.starts_with(prefix));
    snapshot
}

fn problems(snapshot: &Snapshot) -> Vec<String> {
    check(snapshot, &samples::config())
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn codes(snapshot: &Snapshot) -> Vec<&'static str> {
    let refusals = check(snapshot, &samples::config());
    refusals.iter().map(|refusal| refusal.code).collect()
}

#[test]
fn a_good_repository_passes() {
    assert!(problems(&samples::snapshot(1)).is_empty());
    let more = [
        file("docs/link", FileKind::Symlink, "../README.md"),
        file("README.md", FileKind::File, ""),
        file("vendor/lib", FileKind::Submodule, ""),
        file("app/link", FileKind::Symlink, "./test.sh"),
        file(
            "assets/big.bin",
            FileKind::File,
            "version https://git-lfs.github.com/spec/v1\n",
        ),
    ];
    assert!(problems(&with(more)).is_empty());
}

#[test]
fn what_terraform_would_run_or_read_is_refused() {
    for path in [
        "infra/data/.terraform/providers/x",
        "infra/data/.TERRAFORM/x",
        ".terraform",
        "terraform.d/plugins/x",
        "infra/app/terraform.tfstate",
        "infra/app/terraform.tfstate.backup",
        "old.tfstate.1700000000.backup",
        "plan.tfplan",
        "infra/app/tfplan",
        ".terraformrc",
        "infra/terraform.rc",
    ] {
        let snapshot = with([file(path, FileKind::File, "")]);
        let expected = format!("CF060 {path:?} must not be committed");
        assert!(problems(&snapshot).contains(&expected), "{path}");
    }
    assert!(problems(&with([file("terraform.tf", FileKind::File, "")])).is_empty());
}

/// Returns a zip with empty members.
fn zip(members: &[&str]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_plan_is_refused_whatever_it_is_called() {
    let mut plan = file("infra/app/plan.out", FileKind::File, "");
    plan.bytes = zip(&["tfplan", "tfstate", "tfconfig/modules.json"]);
    let problems = problems(&with([plan.clone()])).join("\n");
    assert!(
        problems.contains("CF060 \"infra/app/plan.out\" is a terraform plan"),
        "{problems}"
    );
    plan.bytes = zip(&["bootstrap", "docs/tfplan"]);
    assert!(codes(&with([plan])).is_empty());
}

#[test]
fn stacks_need_their_directories() {
    assert_eq!(
        problems(&without("infra/data")),
        [
            "CF022 \"infra/data\" does not exist at this commit, but stack data names it in sluicegate.yaml"
        ]
    );
    assert_eq!(codes(&without("infra/data/main.tf")), ["CF023"]);
    let mut snapshot = without("infra/data/main.tf");
    snapshot
        .files
        .push(file("infra/data/sub/x.tf", FileKind::File, ""));
    assert_eq!(codes(&snapshot), ["CF023"]);
    let mut snapshot = without("infra/data");
    snapshot.files.push(file("infra/data", FileKind::File, ""));
    assert_eq!(codes(&snapshot), ["CF024"]);
    let mut snapshot = without("infra/");
    snapshot.files.push(file("infra", FileKind::File, ""));
    assert_eq!(codes(&snapshot), ["CF022", "CF022"]);
}

#[test]
fn links_on_the_way_to_a_stack_or_inside_it_are_refused() {
    let mut snapshot = without("infra/");
    snapshot
        .files
        .push(file("infra", FileKind::Symlink, "other"));
    assert!(problems(&snapshot)[0].starts_with("CF021 \"infra\" is a symbolic link on the way"));
    let mut snapshot = without("infra/data");
    snapshot
        .files
        .push(file("infra/data", FileKind::Symlink, "app"));
    assert_eq!(codes(&snapshot), ["CF021"]);
    let snapshot = with([file("infra/app/modules/x", FileKind::Symlink, "../main.tf")]);
    assert_eq!(codes(&snapshot), ["CF021"]);
}

#[test]
fn an_image_needs_its_context_and_dockerfile() {
    assert_eq!(codes(&without("app/")), ["CF022"]);
    assert_eq!(codes(&without("app/Dockerfile")), ["CF029"]);
    let mut snapshot = without("app/Dockerfile");
    snapshot
        .files
        .push(file("app/Dockerfile", FileKind::Symlink, "../Dockerfile"));
    assert_eq!(codes(&snapshot), ["CF021"]);
}

#[test]
fn the_root_may_be_the_context() {
    let mut config = samples::config();
    config.build.as_mut().unwrap().context = String::new();
    let snapshot = with([file("Dockerfile", FileKind::File, "FROM scratch\n")]);
    assert_eq!(check(&snapshot, &config), []);
    let snapshot = with([
        file("Dockerfile", FileKind::File, "FROM scratch\n"),
        file("vendor", FileKind::Submodule, ""),
    ]);
    assert_eq!(check(&snapshot, &config)[0].code, "CF066");
}

#[test]
fn content_that_is_not_in_the_commit_is_refused() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    for path in ["infra/app/vendor", "app/vendor"] {
        assert_eq!(
            codes(&with([file(path, FileKind::Submodule, "")])),
            ["CF066"]
        );
        assert_eq!(
            codes(&with([file(path, FileKind::File, pointer)])),
            ["CF066"]
        );
    }
}

#[test]
fn names_that_mean_something_else_elsewhere_are_refused() {
    let long = format!("docs/{}", "a".repeat(251));
    for path in [
        "docs/a\nb",
        "docs/a\\b",
        "docs/\u{7f}",
        "../x",
        "/etc/x",
        "a//b",
        &long,
    ] {
        assert_eq!(
            codes(&with([file(path, FileKind::File, "")])),
            ["CF067"],
            "{path}"
        );
    }
    let twice = [file("a", FileKind::File, ""), file("a", FileKind::File, "")];
    assert_eq!(codes(&with(twice)), ["CF067"]);
    let both = [
        file("a", FileKind::File, ""),
        file("a/b", FileKind::File, ""),
    ];
    assert_eq!(codes(&with(both)), ["CF067"]);
    assert_eq!(
        problems(&with([
            file("Docs/A", FileKind::File, ""),
            file("docs/b", FileKind::File, "")
        ])),
        ["CF067 \"docs\" differs from \"Docs\" only in case"]
    );
    assert_eq!(
        codes(&with([file("SLUICEGATE.yaml", FileKind::File, "")])),
        ["CF067"]
    );
}

#[test]
fn links_stay_inside_the_repository() {
    for target in [
        "/etc/passwd",
        "../../x",
        "a/../../../x",
        "",
        "..\\x",
        "a\nb",
    ] {
        let snapshot = with([file("docs/link", FileKind::Symlink, target)]);
        assert_eq!(codes(&snapshot), ["CF068"], "{target:?}");
    }
    // Each link alone stays inside: `docs/up` is the root, and only its parent is outside.
    let chain = [
        file("docs/up", FileKind::Symlink, ".."),
        file("out", FileKind::Symlink, "docs/up/.."),
    ];
    assert_eq!(codes(&with(chain)), ["CF068"]);
    let mut link = file("docs/link", FileKind::Symlink, "");
    link.bytes = vec![0xff];
    assert_eq!(codes(&with([link])), ["CF068"]);
}

#[test]
fn everything_is_said_at_once() {
    let mut snapshot = with([
        file("plan.tfplan", FileKind::File, ""),
        file("docs/a\nb", FileKind::File, ""),
    ]);
    snapshot
        .files
        .retain(|file| !file.path.starts_with("infra/data"));
    insta::assert_snapshot!(problems(&snapshot).join("\n"));
}

proptest! {
    #[test]
    fn any_tree_is_judged(
        files in prop::collection::vec(
            (
                "[a-cA-C./\\\\\n]{0,12}|infra(/[a-c]{1,2}){0,3}|app/[a-z]{1,3}",
                prop_oneof![
                    Just(FileKind::File), Just(FileKind::Executable),
                    Just(FileKind::Symlink), Just(FileKind::Submodule),
                ],
                "[a-c./\\\\]{0,12}",
            ),
            0..12,
        ),
    ) {
        let files = files.iter().map(|(path, kind, text)| file(path, *kind, text));
        let snapshot = Snapshot { files: files.collect(), ..samples::snapshot(1) };
        // A repository without its stacks is always refused.
        prop_assert!(!check(&snapshot, &samples::config()).is_empty());
    }
}
