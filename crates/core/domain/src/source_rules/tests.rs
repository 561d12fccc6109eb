#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::error::ErrorName;
use proptest::prelude::*;

const CONFIG: &str = "version: 1\nenvironment: production\nstacks:\n  - { name: data, dir: infra/data }\n  - { name: app, dir: infra/app }\nbuild: { context: app, test: ./test.sh }\n";

pub(super) fn file(path: &str, text: &str) -> SourceFile<'static> {
    SourceFile::new(path, FileKind::File, text.as_bytes().to_vec())
}

pub(super) fn link(path: &str, target: &str) -> SourceFile<'static> {
    SourceFile::new(path, FileKind::Symlink, target.as_bytes().to_vec())
}

pub(super) fn module(path: &str) -> SourceFile<'static> {
    SourceFile::new(path, FileKind::Submodule, b"")
}

fn good() -> Vec<SourceFile<'static>> {
    vec![
        file(CONFIG_FILE, CONFIG),
        file("app/Dockerfile", "FROM scratch\n"),
        SourceFile::new("app/test.sh", FileKind::Executable, b"#!/bin/sh\n"),
        file("infra/app/.terraform.lock.hcl", ""),
        file("infra/app/main.tf", "terraform {\n  backend \"s3\" {}\n}\n"),
        file("infra/data/.terraform.lock.hcl", ""),
        file("infra/data/main.tf", "locals {}\n"),
    ]
}

pub(super) fn with(
    more: impl IntoIterator<Item = SourceFile<'static>>,
) -> Vec<SourceFile<'static>> {
    let mut files = good();
    files.extend(more);
    files
}

fn without(prefix: &str) -> Vec<SourceFile<'static>> {
    let mut files = good();
    files.retain(|file| !file.path.starts_with(prefix));
    files
}

fn problems(files: &[SourceFile<'_>]) -> Vec<Problem> {
    check(files).map_or_else(|problems| problems.as_slice().to_vec(), |_| Vec::new())
}

pub(super) fn codes(files: &[SourceFile<'_>]) -> Vec<&'static str> {
    problems(files)
        .iter()
        .map(|problem| problem.code.as_str())
        .collect()
}

pub(super) fn lines(files: &[SourceFile<'_>]) -> String {
    let lines: Vec<String> = problems(files).iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn a_good_tree_has_no_problems() {
    let more = [
        link("docs/link", "../README.md"),
        link("docs/up", ".."),
        file("README.md", ""),
        module("vendor/lib"),
        link("docs/vendor", "../vendor/lib/"),
        link("app/link", "./test.sh"),
        link("docs/second", "link"),
        SourceFile::new("assets/big.bin", FileKind::File, LFS_POINTER),
        file("a/my.terraform/x", ""),
        file("docs/tfstate.md", ""),
        file("internal/tfplan/read.go", ""),
        file("x.tfvars", ""),
        // Different files on Linux, where every job runs.
        file("Docs/A", ""),
        file("docs/a", ""),
        file("SLUICEGATE.yaml", ""),
        // Terraform reads it from the home directory only.
        file("infra/app/.terraformrc", ""),
        file("infra/app/terraform.rc", ""),
        file("docs/infra.tf", "terraform {\n  backend \"local\" {}\n}\n"),
    ];
    assert_eq!(lines(&with(more)), "");
    let config = check(&good()).unwrap();
    assert_eq!(config.stacks.len(), 2);
}

#[test]
fn a_configuration_is_needed_and_its_errors_are_problems() {
    assert_eq!(
        lines(&without(CONFIG_FILE)),
        "sluicegate.yaml: CF001 is missing; expected a file in the root of the repository that says how to deliver it; fix: add sluicegate.yaml; the smallest one is `version: 1` and `environment: production`"
    );
    let mut files = without(CONFIG_FILE);
    files.push(link(CONFIG_FILE, "app/test.sh"));
    assert_eq!(codes(&files), ["CF001"]);
    let mut files = without(CONFIG_FILE);
    files.push(file(
        CONFIG_FILE,
        "version: 2\nenvironment: Prod!\nstacks:\n  - { name: data, dir: ../x }\n  - { name: app, dir: infra/app }\n",
    ));
    // The stack that can be read of it is checked.
    files.push(file("infra/app/old.tfstate", ""));
    assert_eq!(codes(&files), ["CF060", "CF012", "CF026", "CF020"]);
    let error = check(&files).unwrap_err().to_error();
    assert_eq!(error.name, ErrorName::ConfigInvalid);
    assert!(
        error
            .message
            .contains("sluicegate.yaml:1:10: CF012 version: found 2"),
        "{error}"
    );
}

#[test]
fn globs_that_match_no_file_are_found() {
    let mut files = without(CONFIG_FILE);
    let globs = "version: 1\nenvironment: production\nstacks:\n  - { name: data, dir: infra/data, when_changed: [app, 'apps/**', 'app/*.sh'] }\n  - { name: app, dir: infra/app, when_changed: always }\n";
    files.push(file(CONFIG_FILE, globs));
    let config = check(&files).unwrap();
    let found = unmatched_globs(&files, &config);
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["stack data: no file matches \"apps/**\" in when_changed"]
    );
}

#[test]
fn what_terraform_would_run_or_read_is_forbidden() {
    for (path, place) in [
        ("infra/data/.terraform/providers/x", "infra/data/.terraform"),
        ("infra/data/.TERRAFORM/x", "infra/data/.TERRAFORM"),
        ("infra/app/.terraform", "infra/app/.terraform"),
        ("infra/app/terraform.d/plugins/x", "infra/app/terraform.d"),
        ("infra/app/Terraform.d/plugins/x", "infra/app/Terraform.d"),
        ("infra/app/terraform.tfstate", "infra/app/terraform.tfstate"),
        (
            "infra/app/terraform.tfstate.d/x/y",
            "infra/app/terraform.tfstate.d",
        ),
        (
            "infra/app/.terraform.tfstate.lock.info",
            "infra/app/.terraform.tfstate.lock.info",
        ),
        ("infra/app/errored.tfstate", "infra/app/errored.tfstate"),
        (
            "app/old.tfstate.1700000000.backup",
            "app/old.tfstate.1700000000.backup",
        ),
        ("infra/app/prod.tfplan", "infra/app/prod.tfplan"),
        ("infra/app/TFPLAN", "infra/app/TFPLAN"),
    ] {
        let problems = problems(&with([file(path, "")]));
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (problem.code.as_str(), problem.path.as_str()))
            .collect();
        assert_eq!(found, [("CF060", place)]);
    }
    // A directory is one problem, and the fix is for the directory.
    let many = (0..100).map(|n| file(&format!("app/my dir/.terraform/{n}"), ""));
    insta::assert_snapshot!(lines(&with(many)), @r#"app/my dir/.terraform: CF060 is Terraform's working directory: Terraform would run the providers in it; expected a stack or build context without it; fix: add ".terraform" to .gitignore; if it is committed, run `git rm -r --cached 'app/my dir/.terraform'`"#);
}

/// The central directory of a zip file with one name, and its end record.
fn zip(name: &str) -> Vec<u8> {
    let mut entry = vec![0_u8; 46];
    entry[..4].copy_from_slice(b"PK\x01\x02");
    entry[28] = u8::try_from(name.len()).unwrap();
    entry.extend_from_slice(name.as_bytes());
    let mut end = vec![0_u8; 22];
    end[..4].copy_from_slice(b"PK\x05\x06");
    end[12] = u8::try_from(entry.len()).unwrap();
    [entry, end].concat()
}

#[test]
fn a_plan_is_forbidden_whatever_it_is_called() {
    let plan = |bytes: &[u8]| {
        let bytes = bytes.to_vec();
        with([SourceFile::new("infra/app/plan.out", FileKind::File, bytes)])
    };
    assert_eq!(codes(&plan(&zip("tfplan"))), ["CF060"]);
    assert_eq!(
        codes(&plan(&[b"#!/bin/sh\n".to_vec(), zip("tfplan")].concat())),
        ["CF060"]
    );
    assert_eq!(codes(&plan(&zip("bootstrap"))), [""; 0]);
}

#[test]
fn names_of_the_runners_own_files_are_reserved() {
    for path in [
        "infra/app/sluicegate_backend_override.tf.json",
        "app/Sluicegate_Backend_Override.tf.json/x",
        "infra/app/sluicegate.tfvars.json",
        "infra/app/sluicegate_sensitive_override.tf.json",
    ] {
        assert_eq!(codes(&with([file(path, "{}")])), ["CF070"], "{path}");
    }
}

#[test]
fn stacks_need_their_directories() {
    insta::assert_snapshot!(lines(&without("infra/data")), @"infra/data: CF022 does not exist, but sluicegate.yaml names it as the directory of stack data; expected a directory of the repository; fix: commit its files, or correct the `dir` of stack data in sluicegate.yaml");
    insta::assert_snapshot!(lines(&without("infra/data/main.tf")), @"infra/data: CF023 has no .tf file, but is the directory of stack data; expected the stack's Terraform configuration directly in it; fix: commit its .tf files, or correct the `dir` of stack data in sluicegate.yaml");
    let mut files = without("infra/data/main.tf");
    files.push(file("infra/data/sub/x.tf", ""));
    assert_eq!(codes(&files), ["CF023"]);
    let mut files = without("infra/data");
    files.push(file("infra/data", ""));
    assert_eq!(codes(&files), ["CF024"]);
    let mut files = without("infra/");
    files.push(file("infra", ""));
    assert_eq!(codes(&files), ["CF022", "CF022"]);
    let mut files = without("infra/data");
    files.push(module("infra/data"));
    assert_eq!(codes(&files), ["CF066"]);
}

/// The plan job completes the lock file and seals it.
#[test]
fn a_stack_needs_no_lock_file() {
    assert_eq!(lines(&without("infra/data/.terraform")), "");
}

#[test]
fn only_an_empty_s3_backend_or_none_is_accepted() {
    for (name, text, expected) in [
        (
            "x.tf",
            "terraform {\n  backend \"local\" {}\n}\n",
            "infra/app/x.tf:2: CF072 has the backend \"local\";",
        ),
        (
            "x.tf",
            "terraform {\n  cloud {}\n}\n",
            "infra/app/x.tf:2: CF072 has the backend \"cloud\";",
        ),
        (
            "x.tf",
            "\n\nterraform {\n  backend \"s3\" {\n    bucket = \"b\"\n  }\n}\n",
            "infra/app/x.tf:4: CF072 has a backend block that sets bucket;",
        ),
        (
            "a_override.tf",
            "terraform {\n  backend \"s3\" {}\n}\n",
            "infra/app/a_override.tf:2: CF072 is an override file with the backend \"s3\";",
        ),
        (
            "override.tf.json",
            r#"{"terraform":{"backend":{"http":{}}}}"#,
            "infra/app/override.tf.json: CF072 is an override file with the backend \"http\";",
        ),
        (
            "x.tf.json",
            r#"{"terraform":{"backend":{"s3":{"key":"k"}}}}"#,
            "infra/app/x.tf.json: CF072 has a backend block that sets key;",
        ),
    ] {
        let found = lines(&with([file(&format!("infra/app/{name}"), text)]));
        assert!(found.starts_with(expected), "{found}");
    }
    // Terraform reports what is wrong with it.
    assert_eq!(
        codes(&with([file("infra/app/x.tf", "terraform {")])),
        [""; 0]
    );
}

/// Repositories share code between stacks by links.
#[test]
fn links_in_a_stack_are_followed() {
    let shared = [
        file("common/a.tf", "variable \"region\" {}\n"),
        file("common/b.tf", "terraform {\n  backend \"local\" {}\n}\n"),
        file("common/b.tf.json", "{}"),
        file("common/c.txt", "terraform {}"),
        SourceFile::new("common/big/x", FileKind::File, LFS_POINTER),
    ];
    let with = |links: &[SourceFile<'static>]| with(shared.iter().chain(links).cloned());
    let good = with(&[
        link("infra/app/a.tf", "../../common/a.tf"),
        link("infra/app/second.tf", "a.tf"),
        link("infra/app/c.txt", "../../common/c.txt"),
        link("infra/app/data", "../data"),
        link("infra/app/modules/x/c.tf", "../../../../common/c.txt"),
    ]);
    assert_eq!(lines(&good), "");
    assert!(facts(&good, "infra/app").variables.contains_key("region"));

    let found = lines(&with(&[link("infra/app/b.tf", "../../common/b.tf")]));
    let expected = "infra/app/b.tf:2: CF072 has the backend \"local\";";
    assert!(found.starts_with(expected), "{found}");
    insta::assert_snapshot!(lines(&with(&[link("infra/app/c.tf", "../../common/c.txt")])), @r#"infra/app/c.tf: CF021 is a symbolic link to "common/c.txt", which is not checked as this kind of Terraform code; expected a file whose name ends with .tf; fix: rename the target, so that it ends with .tf"#);
    let json = link("infra/app/c.tf", "../../common/b.tf.json");
    assert_eq!(codes(&with(&[json])), ["CF021"]);
    for target in ["../../common/big", "../../common/big/x"] {
        let found = codes(&with(&[link("infra/app/big", target)]));
        assert_eq!(found, ["CF066"], "{target}");
    }
    let found = codes(&with(&[
        link("infra/app/lib", "../../lib"),
        link("lib/big.bin", "../common/big/x"),
        // Directories that link to each other.
        link("lib/other", "../other"),
        link("other/lib", "../lib"),
    ]));
    assert_eq!(found, ["CF066"]);
}

#[test]
fn links_on_the_way_to_a_stack_are_refused() {
    let mut files = without("infra/");
    files.extend([link("infra", "other"), file("other/x", "")]);
    assert_eq!(codes(&files), ["CF021", "CF021"]);
    let mut files = without("infra/data");
    files.push(link("infra/data", "app"));
    assert_eq!(codes(&files), ["CF021"]);
}

#[test]
fn an_image_needs_its_context_and_dockerfile() {
    assert_eq!(codes(&without("app/")), ["CF022"]);
    assert_eq!(codes(&without("app/Dockerfile")), ["CF029"]);
    let mut files = without("app/Dockerfile");
    files.extend([
        link("app/Dockerfile", "../Dockerfile"),
        file("Dockerfile", ""),
    ]);
    assert_eq!(codes(&files), ["CF021"]);
}

#[test]
fn the_root_may_be_the_context() {
    let mut files = without(CONFIG_FILE);
    files.push(file(
        CONFIG_FILE,
        "version: 1\nenvironment: production\nbuild: { test: x }\n",
    ));
    files.push(file("Dockerfile", "FROM scratch\n"));
    assert_eq!(codes(&files), [""; 0]);
    files.push(module("vendor"));
    assert_eq!(codes(&files), ["CF066"]);
}

#[test]
fn content_that_is_not_in_the_commit_is_refused() {
    for path in ["infra/app/vendor", "app/vendor"] {
        assert_eq!(codes(&with([module(path)])), ["CF066"]);
        let pointer = SourceFile::new(path, FileKind::File, LFS_POINTER);
        assert_eq!(codes(&with([pointer])), ["CF066"]);
    }
    let mut files = without(CONFIG_FILE);
    files.push(SourceFile::new(CONFIG_FILE, FileKind::File, LFS_POINTER));
    assert!(codes(&files)[0].starts_with("CF0"), "{:?}", codes(&files));
}

#[test]
fn names_that_mean_something_else_elsewhere_are_refused() {
    let long = format!("app/{}", "a".repeat(252));
    for path in [
        "app/a\nb",
        "app/a\\b",
        "app/\u{7f}",
        "app/\u{fffd}",
        // Git writes none of these, whatever reads them.
        "../x",
        "/etc/x",
        "a//b",
        "a/./b",
        "docs/.Git/x",
        &long,
    ] {
        assert_eq!(codes(&with([file(path, "")])), ["CF067"], "{path}");
    }
    assert_eq!(codes(&with([file("a", ""), file("a", "")])), ["CF067"]);
    assert_eq!(codes(&with([file("a", ""), file("a/b", "")])), ["CF067"]);
}

#[test]
fn links_stay_inside_the_repository_and_lead_somewhere() {
    for target in [
        "/etc/passwd",
        "../../x",
        "a/../../../x",
        "",
        "..\\x",
        "a\nb",
        "nowhere",
        "../app/test.sh/x",
        "../app/test.sh/",
        "../none/../app",
        "link",
    ] {
        assert_eq!(
            codes(&with([link("app/link", target)])),
            ["CF068"],
            "{target:?}"
        );
    }
    // Each link alone stays inside: `app/up` is the root, and only its parent is outside.
    assert_eq!(
        codes(&with([link("app/up", ".."), link("app/out", "up/..")])),
        ["CF068"]
    );
    assert_eq!(
        codes(&with([link("app/a", "b"), link("app/b", "a")])),
        ["CF068", "CF068"]
    );
    // The second link only leads to the first, which has the problem.
    assert_eq!(
        codes(&with([link("app/a", "nowhere"), link("app/b", "a")])),
        ["CF068"]
    );
    let not_utf8 = SourceFile::new("app/link", FileKind::Symlink, vec![0xff]);
    assert_eq!(codes(&with([not_utf8])), ["CF068"]);
    assert_eq!(
        codes(&with([link("app/link", &"./".repeat(3000))])),
        ["CF068"]
    );
}

#[test]
fn sizes_have_limits() {
    assert_eq!(
        codes(&with([SourceFile::unread(
            "app/a",
            FileKind::File,
            FILE_LIMIT + 1
        )])),
        ["CF073"]
    );
    let big = |path: &str| {
        let mut file = file(path, "");
        file.size = FILE_LIMIT;
        file
    };
    let found = problems(&with([big("app/a"), big("app/b")]));
    assert_eq!(
        (found.len(), found[0].path.as_str(), found[0].code.as_str()),
        (1, ".", "CF073")
    );
    let many: Vec<_> = (0..ENTRY_LIMIT - 11)
        .map(|n| file(&format!("app/{n}"), ""))
        .collect();
    assert_eq!(codes(&with(many.clone())), [""; 0]);
    assert_eq!(
        codes(&with(many.into_iter().chain([file("app/x", "")]))),
        ["CF073"]
    );
}

#[test]
fn every_problem_is_found_at_once() {
    let mut files = without("infra/data");
    files.extend([
        file("app/plan.tfplan", ""),
        file("app/a\nb", ""),
        file(
            "infra/app/b.tf",
            "terraform {\n  backend \"gcs\" {\n  }\n}\n",
        ),
    ]);
    insta::assert_snapshot!(check(&files).unwrap_err().to_error().to_string());
}

#[test]
fn a_long_error_says_how_many_more() {
    let many = (0..50).map(|n| file(&format!("app/{n:02}.tfstate"), ""));
    let error = check(&with(many)).unwrap_err().to_error();
    assert_eq!(error.name, ErrorName::SourceRefused);
    assert!(error.message.len() < 2000);
    let listed = error.message.lines().count() - 2;
    assert!(listed > 1);
    let end = format!(
        "\nand {} more\nnext: run `sluicegate config check` in the repository; it shows every problem",
        50 - listed
    );
    assert!(error.message.ends_with(&end), "{error}");
}

fn trees() -> impl Strategy<Value = Vec<SourceFile<'static>>> {
    let path = "[a-cA-C./\\\\\n]{0,12}|infra(/[a-c]{1,2}){0,3}|app/[a-z]{1,3}|infra/(app|data)/[a-z]{1,3}(\\.tf|\\.tf\\.json|\\.tfstate)|sluicegate.yaml|\\PC{0,8}";
    let kind = prop_oneof![
        3 => Just(FileKind::File),
        1 => Just(FileKind::Executable),
        1 => Just(FileKind::Symlink),
        1 => Just(FileKind::Submodule),
    ];
    let text = prop_oneof![
        "[a-c./\\\\]{0,12}",
        Just(CONFIG.to_owned()),
        "terraform \\{ (backend \"s3\"|cloud) \\{\\}[ \n]\\}"
    ];
    let file = (path, kind, text)
        .prop_map(|(path, kind, text)| SourceFile::new(path, kind, text.into_bytes()));
    prop::collection::vec(file, 0..14)
}

proptest! {
    /// What is sealed passes the rules of the runner.
    #[test]
    fn the_files_that_are_not_left_out_have_no_problems(files in trees()) {
        let mut files = with(files);
        let mut paths = std::collections::BTreeSet::new();
        files.retain(|file| paths.insert(file.path.clone()));
        let examined = Examined::new(&files);
        let left_out = examined.left_out().clone();
        if examined.result().is_ok() {
            files.retain(|file| !left_out.paths.contains(&file.path));
            prop_assert_eq!(lines(&files), "");
            prop_assert!(files.iter().all(|file| fault(&file.path).is_none()));
        }
    }

    #[test]
    fn any_tree_is_checked_the_same_way_in_any_order(files in trees(), keep in any::<bool>(), seed in any::<prop::sample::Index>()) {
        let mut files = if keep { with(files) } else { files };
        // Of two files at one path, which no git tree has, the first is read.
        let mut paths = std::collections::BTreeSet::new();
        files.retain(|file| paths.insert(file.path.clone()));
        let found = check(&files);
        let mut reordered = files.clone();
        reordered.rotate_left(seed.index(files.len().max(1)).min(files.len()));
        reordered.reverse();
        prop_assert_eq!(&check(&reordered), &found);
        if let Err(problems) = found {
            let places: Vec<_> = problems.into_iter().map(|problem| (&problem.path, problem.line.unwrap_or(u64::MAX))).collect();
            prop_assert!(places.is_sorted());
            for problem in &problems {
                prop_assert!(!problem.fix.is_empty() && !problem.found.is_empty());
                prop_assert!(!problem.to_string().contains('\n'), "{}", problem);
            }
        }
    }
}
