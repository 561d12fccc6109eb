//! The rules apply to what a stack or the build can read.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::tests::{codes, file, lines, link, module, with};
use super::*;

fn pointer(path: &str) -> SourceFile<'static> {
    SourceFile::new(path, FileKind::File, LFS_POINTER)
}

fn left_out(files: &[SourceFile<'_>]) -> Vec<String> {
    let examined = Examined::new(files);
    examined.left_out().paths.iter().cloned().collect()
}

#[test]
fn what_nothing_reads_does_not_refuse_a_commit() {
    let long = format!("web/{}", "a".repeat(300));
    let kept = [
        file("tests/fixtures/.terraform/providers/x", ""),
        file("tests/fixtures/terraform.tfstate", "{}"),
        file("tests/fixtures/prod.tfplan", ""),
        file("tests/fixtures/sluicegate.tfvars.json", "{}"),
        file(
            "tests/fixtures/main.tf",
            "terraform {\n  backend \"local\" {",
        ),
        file("infra/app/tests/fixtures/.terraform/x", ""),
        file("infra/app/tests/fixtures/terraform.tfstate", "{}"),
        pointer("infra/app/docs/diagram.png"),
        pointer("assets/big.bin"),
        module("vendor/lib"),
    ];
    let left = [
        file(&long, ""),
        file("docs/a\nb", ""),
        file("docs/a\\b", ""),
        link("docs/absolute", "/etc/passwd"),
        link("docs/outside", "../../x"),
        link("docs/nowhere", "none"),
        // Its target is left out.
        link("docs/to-long", &format!("../{long}")),
        SourceFile::unread("video.mp4", FileKind::File, FILE_LIMIT + 1),
    ];
    let files = with(kept.into_iter().chain(left.iter().cloned()));
    assert_eq!(lines(&files), "");
    let mut expected: Vec<&str> = left.iter().map(|file| file.path.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(left_out(&files), expected);
}

/// Each way in which code names a file of another directory, and one that it names no file in.
#[test]
fn an_lfs_pointer_is_found_wherever_a_stack_reads_it() {
    let paths = [
        "infra/lambda/handler.zip",
        "infra/lambda/other.zip",
        "infra/app/files/a.zip",
        "infra/app/docs/b.zip",
        "modules/net/policies/c.zip",
        "modules/net/docs/d.zip",
        "web/e.zip",
    ];
    let found = |more: &[SourceFile<'static>]| {
        let net = "locals { a = file(\"${path.module}/policies/${var.name}.zip\") }\n";
        let mut files = with(paths.iter().map(|path| pointer(path)));
        files.push(file("modules/net/main.tf", net));
        files.extend(more.iter().cloned());
        let problems =
            check(&files).map_or_else(|problems| problems.as_slice().to_vec(), |_| vec![]);
        assert!(
            problems
                .iter()
                .all(|problem| problem.code.as_str() == "CF066")
        );
        let found: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        found.join(" ")
    };
    let handler = "infra/lambda/handler.zip";
    let lambda = "infra/lambda/handler.zip infra/lambda/other.zip";
    for (code, expected) in [
        ("locals {}", ""),
        (
            r#"locals { a = filebase64sha256("../lambda/handler.zip") }"#,
            handler,
        ),
        (
            r#"locals { a = file("${path.module}/../lambda/handler.zip") }"#,
            handler,
        ),
        (
            r#"locals { a = file("${path.root}/../lambda/${var.name}.zip") }"#,
            lambda,
        ),
        (r#"locals { a = fileset("../lambda", "*.zip") }"#, lambda),
        (
            r#"resource "terraform_data" "a" {
                provisioner "local-exec" {
                  command = "cp ${path.module}/../lambda/handler.zip /tmp && sh files/a.zip"
                }
            }"#,
            "infra/app/files/a.zip infra/lambda/handler.zip",
        ),
        (
            r#"data "archive_file" "a" { source_dir = "${path.module}/../lambda" }"#,
            lambda,
        ),
        (
            r#"data "archive_file" "a" { source_file = "../lambda/handler.zip" }"#,
            handler,
        ),
        (
            r#"resource "a_b" "c" { filename = "../lambda/handler.zip" }"#,
            handler,
        ),
        (r#"locals { a = "../lambda/handler.zip" }"#, handler),
        (
            r#"module "a" {
  source   = "acme/lambda/aws"
  filename = "${path.root}/../lambda/handler.zip"
}"#,
            "infra/app/docs/b.zip infra/app/files/a.zip infra/lambda/handler.zip",
        ),
        (
            r#"locals { a = file("files/a.zip") }"#,
            "infra/app/files/a.zip",
        ),
        (
            r#"locals { a = "${path.module}/files/${var.name}" }"#,
            "infra/app/files/a.zip",
        ),
        (
            r#"locals { a = [for name in ["a"] : format("files/%s.zip", name)] }"#,
            "infra/app/files/a.zip",
        ),
        (
            r#"locals { a = filemd5(var.name) }"#,
            "infra/app/docs/b.zip infra/app/files/a.zip",
        ),
        (
            r#"module "net" { source = "../../modules/net" }"#,
            "modules/net/policies/c.zip",
        ),
        (
            "locals { up = \"../..\" }",
            "infra/app/docs/b.zip infra/app/files/a.zip infra/lambda/handler.zip infra/lambda/other.zip modules/net/docs/d.zip modules/net/policies/c.zip web/e.zip",
        ),
    ] {
        assert_eq!(
            found(&[file("infra/app/more.tf", code)]),
            expected,
            "{code}"
        );
    }
    let values = [
        file(
            "infra/app/more.tf",
            "resource \"a_b\" \"c\" { filename = var.name }",
        ),
        file(
            "infra/app/x.auto.tfvars",
            "name = \"../lambda/handler.zip\"",
        ),
    ];
    assert_eq!(found(&values), handler);
    let json = file(
        "infra/app/more.tf.json",
        r#"{"data": {"archive_file": {"a": {"source_dir": "${path.module}/../lambda"}}}}"#,
    );
    assert!(found(&[json]).contains(lambda));
    assert_eq!(found(&[link("infra/app/linked", "../lambda")]), lambda);
}

#[test]
fn a_pointer_has_the_commands_that_commit_its_content() {
    let code = r#"locals { a = filebase64sha256("../my lambda/handler v1.zip") }"#;
    let files = with([
        file("infra/app/more.tf", code),
        pointer("infra/my lambda/handler v1.zip"),
        file(
            "infra/app/other.tf",
            r#"locals { a = file("../lambda/handler.zip") }"#,
        ),
        pointer("infra/lambda/handler.zip"),
    ]);
    insta::assert_snapshot!(lines(&files));
}

#[test]
fn a_module_in_a_submodule_is_found() {
    for (source, expected) in [
        ("../../vendor/net", "vendor/net"),
        ("../../vendor/net/modules/subnet", "vendor/net"),
    ] {
        let code = format!("module \"net\" {{\n  source = \"{source}\"\n}}\n");
        let files = with([module("vendor/net"), file("infra/app/net.tf", &code)]);
        let found = lines(&files);
        let start = format!("{expected}: CF066 is a submodule that stack app reads");
        assert!(found.starts_with(&start), "{found}");
        assert_eq!(codes(&files), ["CF066"]);
    }
}

fn icons() -> Vec<SourceFile<'static>> {
    (0..ENTRY_LIMIT + 50)
        .map(|n| file(&format!("icons/{n}.svg"), ""))
        .collect()
}

#[test]
fn files_that_nothing_reads_do_not_count_for_the_limits() {
    let files = with(icons());
    assert_eq!(lines(&files), "");
    let examined = Examined::new(&files);
    assert!(examined.left_out().is_too_large);
    // Only what is read is sealed.
    assert_eq!(examined.left_out().paths.len(), ENTRY_LIMIT + 50);
    insta::assert_snapshot!(examined.left_out().to_string(), @r#""icons/0.svg" and 20049 more files are not delivered: no stack and no build reads them, and the repository is larger than the limits"#);

    let big = |n: u8| SourceFile::unread(format!("video/{n}"), FileKind::File, FILE_LIMIT);
    assert_eq!(lines(&with([big(1), big(2)])), "");
}

/// The archive must hold every file, because any may be read.
#[test]
fn every_file_counts_if_a_stack_may_read_any() {
    let code = r#"locals { a = file(abspath("${path.module}/x")) }"#;
    let mut files = with(icons());
    files.push(file("infra/app/more.tf", code));
    insta::assert_snapshot!(lines(&files));
    let few = with([file("infra/app/more.tf", code), pointer("assets/big.bin")]);
    assert_eq!(lines(&few), "");
    assert_eq!(left_out(&few), [""; 0]);
}

#[test]
fn a_commit_has_a_limit_whatever_is_read() {
    let many = (0..TREE_LIMIT).map(|n| SourceFile::unread(format!("{n}"), FileKind::File, 0));
    assert_eq!(codes(&with(many)), ["CF073"]);
}

/// Found without recursion, whose depth a commit would decide.
#[test]
fn long_chains_of_modules_and_links_are_followed() {
    let depth = 2_000;
    let modules = (0..depth).map(|n| {
        let code = format!("module \"m\" {{\n  source = \"../m{}\"\n}}\n", n + 1);
        file(&format!("m{n}/main.tf"), &code)
    });
    let links = (0..depth).map(|n| link(&format!("l{n}/l"), &format!("../l{}", n + 1)));
    let files = with(modules.chain(links).chain([
        file(
            &format!("m{depth}/main.tf"),
            "locals { a = file(\"${path.module}/x\") }\n",
        ),
        pointer(&format!("m{depth}/x")),
        pointer(&format!("l{depth}/x")),
        file(
            "infra/app/m.tf",
            "module \"m\" {\n  source = \"../../m0\"\n}\n",
        ),
        link("infra/app/l", "../../l0"),
    ]));
    assert_eq!(codes(&files), ["CF066", "CF066"]);
}
