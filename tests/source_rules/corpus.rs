//! The trees of the corpus, with the problems of each.

use engine::fakes::samples;
use engine::{FileKind, SnapshotFile};
use std::collections::BTreeMap;

/// Files by path.
pub(crate) type Tree = BTreeMap<String, (FileKind, Vec<u8>)>;

/// A tree and its problems: code, path and line, in order.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) tree: Tree,
    pub(crate) expected: Vec<(&'static str, &'static str, Option<u64>)>,
    /// Whether the tree is the good one with more files, so that it can be joined with another.
    pub(crate) adds_only: bool,
}

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";

/// A zip with the one member `tfplan`, without its data.
const PLAN: &str = "PK\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0tfplanPK\x05\x06\0\0\0\0\0\0\0\0\x34\0\0\0\0\0\0\0\0\0";

fn good() -> Tree {
    samples::snapshot(1)
        .files
        .into_iter()
        .map(|SnapshotFile { path, kind, bytes }| (path, (kind, bytes)))
        .collect()
}

type Expected = (&'static str, &'static str, Option<u64>);

/// Returns the good tree with more files: path and content, or `-> target` for a link, or `submodule`.
fn more(name: &'static str, files: &[(&str, &str)], expected: &[Expected]) -> Case {
    let mut tree = good();
    for (path, content) in files {
        let file = match content.strip_prefix("-> ") {
            Some(target) => (FileKind::Symlink, target.into()),
            None if *content == "submodule" => (FileKind::Submodule, Vec::new()),
            None => (FileKind::File, (*content).into()),
        };
        tree.insert((*path).to_owned(), file);
    }
    Case {
        name,
        tree,
        expected: expected.to_vec(),
        adds_only: true,
    }
}

/// Returns the same without the files below a path of the good tree.
fn instead(
    name: &'static str,
    removed: &str,
    files: &[(&str, &str)],
    expected: &[Expected],
) -> Case {
    let mut case = more(name, files, expected);
    let added: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    case.tree
        .retain(|path, _| !path.starts_with(removed) || added.contains(&path.as_str()));
    case.adds_only = false;
    case
}

pub(crate) fn cases() -> Vec<Case> {
    let local = "terraform {\n  backend \"local\" {}\n}\n";
    let filled = "terraform {\n  backend \"s3\" {\n    bucket = \"b\"\n  }\n}\n";
    let empty = "terraform {\n  backend \"s3\" {}\n}\n";
    vec![
        more("good", &[], &[]),
        more(
            "good, with links, a submodule and an LFS pointer elsewhere",
            &[
                ("README.md", "shop"),
                ("docs/link", "-> ../README.md"),
                ("docs/up", "-> .."),
                ("docs/vendor", "-> ../vendor/lib"),
                ("app/link", "-> ./test.sh"),
                ("vendor/lib", "submodule"),
                ("assets/big.bin", LFS),
                ("docs/main.tf", local),
                ("infra/app/x.auto.tfvars", "a = 1\n"),
                ("infra/app/lambda.zip", "PK\x03\x04"),
                ("infra/app/.terraformrc", ""),
                ("docs/Readme", ""),
                ("docs/README", ""),
                ("infra/app/broken.tf", "terraform {"),
            ],
            &[],
        ),
        more(
            "LFS pointers and submodules that a stack reads in other directories",
            &[
                (
                    "infra/app/lambda.tf",
                    "locals { sha = filebase64sha256(\"../lambda/handler.zip\") }\n",
                ),
                ("infra/lambda/handler.zip", LFS),
                ("infra/lambda/other.zip", LFS),
                (
                    "infra/data/net.tf",
                    "module \"net\" {\n  source = \"../../deps/net/core\"\n}\n",
                ),
                ("deps/net", "submodule"),
            ],
            &[
                ("CF066", "deps/net", None),
                ("CF066", "infra/lambda/handler.zip", None),
            ],
        ),
        instead(
            "no configuration",
            "sluicegate.yaml",
            &[],
            &[("CF001", "sluicegate.yaml", None)],
        ),
        instead(
            "a link for a configuration",
            "sluicegate.yaml",
            &[("sluicegate.yaml", "-> app/test.sh")],
            &[("CF001", "sluicegate.yaml", None)],
        ),
        instead(
            "an invalid configuration, and what it does not hide",
            "sluicegate.yaml",
            &[
                (
                    "sluicegate.yaml",
                    "version: 2\nenvironment: Prod!\nstacks: [{ name: app, dir: infra/app }]\n",
                ),
                ("infra/app/old.tfstate", "{}"),
            ],
            &[
                ("CF060", "infra/app/old.tfstate", None),
                ("CF012", "sluicegate.yaml", Some(1)),
                ("CF026", "sluicegate.yaml", Some(2)),
            ],
        ),
        instead(
            "no stack directory",
            "infra/data",
            &[],
            &[("CF022", "infra/data", None)],
        ),
        instead(
            "a file for a stack directory",
            "infra/data",
            &[("infra/data", "x")],
            &[("CF024", "infra/data", None)],
        ),
        instead(
            "a submodule for a stack directory",
            "infra/data",
            &[("infra/data", "submodule")],
            &[("CF066", "infra/data", None)],
        ),
        instead(
            "a link for a stack directory",
            "infra/data",
            &[("infra/data", "-> app")],
            &[("CF021", "infra/data", None)],
        ),
        instead(
            "no Terraform files directly in a stack",
            "infra/data/main.tf",
            &[("infra/data/sub/main.tf", "")],
            &[("CF023", "infra/data", None)],
        ),
        instead("no lock file", "infra/data/.terraform.lock.hcl", &[], &[]),
        instead("no build context", "app/", &[], &[("CF022", "app", None)]),
        instead(
            "no Dockerfile",
            "app/Dockerfile",
            &[],
            &[("CF029", "app/Dockerfile", None)],
        ),
        instead(
            "a link for a Dockerfile",
            "app/Dockerfile",
            &[("app/Dockerfile", "-> test.sh")],
            &[("CF021", "app/Dockerfile", None)],
        ),
        more(
            "links inside a stack",
            &[
                ("infra/app/module", "-> ../data"),
                ("infra/app/shared.tf", "-> ../../common/shared.tf"),
                ("common/shared.tf", "locals {}\n"),
            ],
            &[],
        ),
        more(
            "links in a stack to what is not read, or has a backend",
            &[
                ("infra/app/i.tf", "-> ../../common/shared.txt"),
                ("infra/app/j.tf", "-> ../../common/local.tf"),
                ("common/shared.txt", local),
                ("common/local.tf", local),
            ],
            &[
                ("CF021", "infra/app/i.tf", None),
                ("CF072", "infra/app/j.tf", Some(2)),
            ],
        ),
        more(
            "Terraform's working directory",
            &[
                ("infra/app/.terraform/providers/x", ""),
                ("infra/app/.terraform/modules/modules.json", ""),
            ],
            &[("CF060", "infra/app/.terraform", None)],
        ),
        more(
            "states and the files beside them",
            &[
                ("infra/app/terraform.tfstate", "{}"),
                ("infra/app/terraform.tfstate.d/prod/x", "{}"),
                ("infra/app/.terraform.tfstate.lock.info", "{}"),
            ],
            &[
                ("CF060", "infra/app/.terraform.tfstate.lock.info", None),
                ("CF060", "infra/app/terraform.tfstate", None),
                ("CF060", "infra/app/terraform.tfstate.d", None),
            ],
        ),
        more(
            "a plugin directory",
            &[("infra/app/Terraform.d/plugins/x", "")],
            &[("CF060", "infra/app/Terraform.d", None)],
        ),
        more(
            "plans by name and by content",
            &[
                ("app/a/tfplan", ""),
                ("app/plan.out", PLAN),
                ("app/tool", &format!("#!/bin/sh\n{PLAN}")),
            ],
            &[
                ("CF060", "app/a/tfplan", None),
                ("CF060", "app/plan.out", None),
                ("CF060", "app/tool", None),
            ],
        ),
        more(
            "names of the runner's files",
            &[
                ("infra/app/sluicegate_backend_override.tf.json", "{}"),
                ("app/x/sluicegate.tfvars.json", "{}"),
            ],
            &[
                ("CF070", "app/x/sluicegate.tfvars.json", None),
                (
                    "CF070",
                    "infra/app/sluicegate_backend_override.tf.json",
                    None,
                ),
            ],
        ),
        more(
            "backends",
            &[
                ("infra/app/a.tf", local),
                ("infra/app/b.tf", filled),
                (
                    "infra/app/c.tf",
                    "locals {\n  x = \"${\"}\"}\"\n}\nterraform {\n  cloud {}\n}\n",
                ),
                ("infra/app/d_override.tf", empty),
                (
                    "infra/app/e.tf.json",
                    r#"{"terraform":{"backend":{"http":{}}}}"#,
                ),
            ],
            &[
                ("CF072", "infra/app/a.tf", Some(2)),
                ("CF072", "infra/app/b.tf", Some(2)),
                ("CF072", "infra/app/c.tf", Some(5)),
                ("CF072", "infra/app/d_override.tf", Some(2)),
                ("CF072", "infra/app/e.tf.json", None),
            ],
        ),
        more(
            "content that is not in the commit",
            &[("infra/data/vendor", "submodule"), ("app/big.bin", LFS)],
            &[
                ("CF066", "app/big.bin", None),
                ("CF066", "infra/data/vendor", None),
            ],
        ),
        more(
            "paths that mean something else elsewhere",
            &[("app/a\nb", ""), ("app/a\\b", "")],
            &[("CF067", "app/a\nb", None), ("CF067", "app/a\\b", None)],
        ),
        more(
            "a path that is too long",
            &[(LONG, "")],
            &[("CF067", LONG, None)],
        ),
        more(
            "what no stack and no build reads",
            &[
                (
                    "web/long/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "",
                ),
                ("web/a\nb", ""),
                ("web/link", "-> a\nb"),
                ("web/outside", "-> ../../sibling"),
                ("tests/fixtures/.terraform/x", ""),
                ("tests/fixtures/x.tfstate.json", "{}"),
                ("tests/fixtures/tfplan", PLAN),
                ("tests/fixtures/sluicegate.tfvars.json", "{}"),
                ("infra/app/tests/fixtures/terraform.tfstate", "{}"),
                ("infra/app/tests/fixtures/x.bin", LFS),
                ("third/party", "submodule"),
            ],
            &[],
        ),
        more(
            "links that lead out, nowhere, or to themselves",
            &[
                ("app/l/absolute", "-> /etc/passwd"),
                ("app/l/outside", "-> ../../../x"),
                ("app/l/nowhere", "-> none"),
                ("app/l/loop", "-> loop"),
                ("app/l/up", "-> .."),
                ("app/l/way", "-> up/.."),
            ],
            &[
                ("CF068", "app/l/absolute", None),
                ("CF068", "app/l/loop", None),
                ("CF068", "app/l/nowhere", None),
                ("CF068", "app/l/outside", None),
                ("CF068", "app/l/way", None),
            ],
        ),
    ]
}

/// 258 bytes.
const LONG: &str = "app/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/aaaa";
