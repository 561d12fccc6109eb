#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::config::{PathGlob, WhenChanged};
use crate::ids::{RepositoryKey, RepositoryName, StackName};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A repository, as texts by path.
type Texts = BTreeMap<String, String>;

fn texts(files: &[(&str, &str)]) -> Texts {
    let files = files.iter();
    files
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

/// A stack in `infra/app`, which uses a module and has a file of an application beside it.
fn repository() -> Texts {
    texts(&[
        ("app/main.py", "print('hello')\n"),
        ("infra/app/.terraform.lock.hcl", "# none\n"),
        (
            "infra/app/main.tf",
            "module \"net\" {\n  source = \"../../modules/net\"\n}\n",
        ),
        ("infra/app/templates/user.tpl", "hello ${name}\n"),
        ("infra/data/main.tf", "locals {}\n"),
        (
            "modules/net/main.tf",
            "module \"deep\" {\n  source = \"./deep\"\n}\n",
        ),
        ("modules/net/deep/main.tf.json", "{\"locals\": {}}"),
        ("modules/other/main.tf", "locals {}\n"),
        ("shared/policy.json", "{}"),
        ("sluicegate.yaml", "version: 1\n"),
    ])
}

fn stack() -> Stack {
    Stack {
        renamed_from: None,
        name: StackName::parse("app").unwrap(),
        dir: "infra/app".into(),
        needs: Vec::new(),
        when_changed: WhenChanged::default(),
    }
}

fn event_repository(name: &str) -> EventRepository {
    EventRepository {
        key: RepositoryKey::github(42),
        full_name: RepositoryName::parse(name).unwrap(),
    }
}

fn digest_at(files: &[CommitFile<'_>], stack: &Stack) -> (Option<StackDigest>, Coverage) {
    let repository = event_repository("acme/shop");
    let environment = EnvironmentName::parse("production").unwrap();
    let destination = Destination {
        repository: &repository,
        environment: &environment,
    };
    digest(&SourceTree::new(files.iter().copied()), stack, destination)
}

fn files(texts: &Texts) -> Vec<CommitFile<'_>> {
    let files = texts.iter();
    files
        .map(|(path, text)| CommitFile {
            path,
            kind: FileKind::File,
            bytes: text.as_bytes(),
        })
        .collect()
}

fn of_texts(texts: &Texts, stack: &Stack) -> (Option<StackDigest>, Coverage) {
    digest_at(&files(texts), stack)
}

/// Returns the paths whose content decides the stack's digest.
fn covered(texts: &Texts, stack: &Stack) -> Vec<String> {
    let before = of_texts(texts, stack).0;
    let paths = texts.keys().filter(|path| {
        let mut changed = texts.clone();
        // A comment in each of the formats, so that what is read stays the same.
        let text = changed.get_mut(*path).unwrap();
        text.insert(text.len(), '\n');
        of_texts(&changed, stack).0 != before
    });
    paths.cloned().collect()
}

#[test]
fn a_stack_is_its_directory_and_its_modules() {
    assert_eq!(
        covered(&repository(), &stack()),
        [
            "infra/app/.terraform.lock.hcl",
            "infra/app/main.tf",
            "infra/app/templates/user.tpl",
            "modules/net/deep/main.tf.json",
            "modules/net/main.tf",
        ]
    );
}

#[test]
fn globs_and_named_paths_belong_to_the_stack() {
    let mut texts = repository();
    let mut stack = stack();
    let globs = ["modules/other", "app/**/*.py"];
    let globs = globs.map(|glob| PathGlob::parse(glob).unwrap());
    stack.when_changed = WhenChanged::Files(globs.to_vec());
    texts.insert(
        "infra/app/policy.tf".into(),
        "locals {\n  policy = file(\"${path.module}/../../shared/policy.json\")\n}\n".into(),
    );
    assert_eq!(of_texts(&texts, &stack).1, Coverage::Files);
    assert_eq!(
        covered(&texts, &stack),
        [
            "app/main.py",
            "infra/app/.terraform.lock.hcl",
            "infra/app/main.tf",
            "infra/app/policy.tf",
            "infra/app/templates/user.tpl",
            "modules/net/deep/main.tf.json",
            "modules/net/main.tf",
            "modules/other/main.tf",
            "shared/policy.json",
        ]
    );
}

/// What code does, and which files its digest covers: `files`, `tree`, or none.
#[test]
fn code_that_may_read_any_file_covers_the_whole_tree() {
    let cases = [
        // Reads inside the module, and texts that are not paths.
        r#"locals { a = file("${path.module}/a.json") }"#,
        r#"locals { a = [for f in fileset(path.module, "x/*.json") : file("${path.module}/${f}")] }"#,
        r#"locals { a = templatefile("${path.root}/a.tpl", { name = "x" }) }"#,
        r#"variable "a" { description = "One of 1..5, or more ..." }"#,
        "resource \"a_b\" \"c\" {\n  provisioner \"local-exec\" {\n    command = \"cd ../..\"\n  }\n}",
        r#"data "archive_file" "a" { source_dir = "${path.module}/../../app" }"#,
        r#"resource "a_b" "c" { source = "../../app/main.py" }"#,
        "# file(\"../..\")\nlocals {}",
        // A path that Terraform computes from the code's own values.
        r#"locals { a = file("${path.module}/${var.name}.json") }"#,
        // May read anything.
        r#"locals { a = file("${path.module}/${local.up}/x") }
           locals { up = "../.." }"#,
        r#"locals { a = "../../app" }"#,
        r#"locals { a = join("/", ["..", "app"]) }"#,
        r#"locals { a = file("${path.module}/../data/sub/../x") }"#,
        r#"resource "a_b" "c" { source = "../../app/sub/../main.py" }"#,
        r#"locals { a = file(format("%s/x", path.module)) }"#,
        r#"locals { a = dirname(path.module) }"#,
        r#"locals { a = file("${path.cwd}/x") }"#,
        r#"locals { a = replace("${path.module}/x", "infra", "app") }"#,
        r#"locals { a = file(aws_s3_object.x.key) }"#,
        "locals { a = file(local.name) }\ndata \"aws_region\" \"here\" {}",
        r#"locals { a = provider::local::direxists("x") }"#,
        r#"data "external" "a" { program = ["sh", "x.sh"] }"#,
        r#"module "a" { 
  source = "../../modules/net"
  templates = "../../app"
}"#,
        r#"module "a" { source = "../../app" }"#,
        // Not decided by the commit.
        "locals {",
        r#"locals { a = file("../../../outside") }"#,
        r#"module "a" { source = "../../../elsewhere" }"#,
        r#"module "a" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "5.1.2"
}"#,
        r#"module "a" { source = "git::https://example.com/a.git?ref=0123456789abcdef0123456789abcdef01234567" }"#,
        r#"module "a" { source = "https://example.com/a.zip" }"#,
        r#"module "a" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "~> 5.0"
}"#,
        r#"module "a" { source = "git::https://example.com/a.git?ref=v1" }"#,
        r#"module "a" { source = var.source }"#,
        r#"data "terraform_remote_state" "a" { backend = "s3" }"#,
        r#"check "a" {
  data "terraform_remote_state" "b" { backend = "s3" }
}"#,
    ];
    let mut lines = String::new();
    for code in cases {
        let mut texts = repository();
        texts.insert("infra/app/more.tf".into(), code.into());
        let (digest, coverage) = of_texts(&texts, &stack());
        assert_eq!(digest.is_none(), matches!(coverage, Coverage::Unknown(_)));
        let coverage = match coverage {
            Coverage::Files => "files".to_owned(),
            Coverage::WholeTree(reason) => format!("tree: {reason}"),
            Coverage::Unknown(reason) => format!("none: {reason}"),
        };
        let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
        lines += &format!("{code}\n    {coverage}\n");
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn json_is_read_like_the_native_syntax() {
    let cases = [
        (
            r#"{"module": {"a": {"source": "../../modules/net"}}}"#,
            "files",
        ),
        (
            r#"{"module": [{"a": [{"source": "../../modules/net"}]}]}"#,
            "files",
        ),
        (
            r#"{"locals": {"a": "${file(\"${path.module}/x\")}"}}"#,
            "files",
        ),
        (r#"{"locals": {"a": "../../app"}}"#, "tree"),
        (r#"{"locals": {"a": "${file(\"../../../x\")}"}}"#, "none"),
        (r#"{"locals": {"a": "${"}}"#, "tree"),
        (r#"{"locals": "#, "none"),
        // Terraform reads each of the modules.
        (
            r#"{"module": {"a": {"source": "acme/a/aws"}}, "module": {}}"#,
            "none",
        ),
        (r#"{"module": {"a": [[{"source": "acme/a/aws"}]]}}"#, "none"),
        (
            r#"{"check": {"a": {"data": {"terraform_remote_state": {"b": {}}}}}}"#,
            "none",
        ),
        (r#"{"module": {"a": "acme/a/aws"}}"#, "none"),
        (r#"{"data": {"external": {"a": {}}}}"#, "tree"),
        (r#"{"module": {"a": {"source": "acme/a/aws"}}}"#, "none"),
        (r#"{"module": {"a": {"source": "${var.a}"}}}"#, "none"),
        (r#"{"data": {"terraform_remote_state": {"a": {}}}}"#, "none"),
    ];
    for (code, expected) in cases {
        let mut texts = repository();
        texts.insert("infra/app/more.tf.json".into(), code.into());
        let found = match of_texts(&texts, &stack()).1 {
            Coverage::Files => "files",
            Coverage::WholeTree(_) => "tree",
            Coverage::Unknown(_) => "none",
        };
        assert_eq!(found, expected, "{code}");
    }
}

/// A path can come from the outputs of another stack, or from a file.
#[test]
fn a_computed_path_is_trusted_only_if_all_its_sources_are_known() {
    let code = "locals {\n  a = file(var.name)\n}\n";
    let mut texts = repository();
    texts.insert("infra/app/more.tf".into(), code.into());
    let is_tree =
        |texts: &Texts, stack: &Stack| matches!(of_texts(texts, stack).1, Coverage::WholeTree(_));
    assert!(!is_tree(&texts, &stack()));
    let mut dependent = stack();
    dependent.needs = vec![StackName::parse("data").unwrap()];
    assert!(is_tree(&texts, &dependent));

    texts.insert("infra/app/x.auto.tfvars".into(), "name = \"../x\"".into());
    assert!(is_tree(&texts, &stack()));
    texts.insert("infra/app/x.auto.tfvars".into(), "name = \"x\"".into());
    texts.insert("infra/app/README.md".into(), "[up](../x)".into());
    assert!(!is_tree(&texts, &stack()));
    texts.insert("infra/app/paths.yaml".into(), "- ../x".into());
    assert!(is_tree(&texts, &stack()));
}

#[test]
fn a_link_to_a_file_is_followed() {
    let mut texts = repository();
    texts.insert("shared/a.tf".into(), "locals {}\n".into());
    texts.insert(
        "shared/outside.tf".into(),
        "module \"a\" {\n  source = \"acme/a/aws\"\n}\n".into(),
    );
    let at = |texts: &Texts, links: &[(&'static str, &'static str)]| {
        let mut files = files(texts);
        files.extend(links.iter().map(|(path, target)| CommitFile {
            path,
            kind: FileKind::Symlink,
            bytes: target.as_bytes(),
        }));
        digest_at(&files, &stack())
    };
    let links = [
        ("infra/app/a.tf", "b.tf"),
        ("infra/app/b.tf", "../../shared/a.tf"),
        ("infra/app/policy.json", "../../shared/policy.json"),
    ];
    let (before, coverage) = at(&texts, &links);
    assert_eq!(coverage, Coverage::Files);
    for (path, covered) in [
        ("shared/a.tf", true),
        ("shared/policy.json", true),
        ("shared/outside.tf", false),
    ] {
        let mut changed = texts.clone();
        changed.get_mut(path).unwrap().push('\n');
        assert_eq!(at(&changed, &links).0 != before, covered, "{path}");
    }
    let outside = [("infra/app/a.tf", "../../shared/outside.tf")];
    assert!(matches!(at(&texts, &outside).1, Coverage::Unknown(_)));
    let loops = [("infra/app/a", "b"), ("infra/app/b", "a")];
    assert!(matches!(at(&texts, &loops).1, Coverage::WholeTree(_)));

    // The link's own name decides how its target is read.
    for (code, target, text, link, leads_to) in [
        (
            r#"data "archive_file" "a" { source_dir = var.dir }"#,
            "config/site.json",
            r#"{"dir": "../../web"}"#,
            "infra/app/site.auto.tfvars.json",
            "../../config/site.json",
        ),
        (
            r#"locals { a = templatefile("${path.module}/mail.tpl", {}) }"#,
            "docs/mail.md",
            r#"${file("../../x")}"#,
            "infra/app/mail.tpl",
            "../../docs/mail.md",
        ),
    ] {
        let mut texts = texts.clone();
        texts.insert("infra/app/more.tf".into(), code.into());
        texts.insert(target.into(), text.into());
        let coverage = at(&texts, &[(link, leads_to)]).1;
        assert!(matches!(coverage, Coverage::WholeTree(_)), "{coverage:?}");
        texts.insert(target.into(), "{}".into());
        assert_eq!(at(&texts, &[(link, leads_to)]).1, Coverage::Files);
    }
}

/// The system goes to the parent of the link's target, `shared/x`, not to `infra/lib/x`.
#[test]
fn a_parent_after_a_link_covers_the_whole_tree() {
    let mut texts = repository();
    let code = r#"locals { a = file("${path.module}/../lib/m/../x") }"#;
    texts.insert("infra/app/more.tf".into(), code.into());
    texts.insert("shared/deep/y".into(), "y".into());
    texts.insert("shared/x".into(), "before".into());
    let at = |texts: &Texts| {
        let mut files = files(texts);
        files.push(CommitFile {
            path: "infra/lib/m",
            kind: FileKind::Symlink,
            bytes: b"../../shared/deep",
        });
        digest_at(&files, &stack())
    };
    let (before, coverage) = at(&texts);
    assert!(matches!(coverage, Coverage::WholeTree(_)), "{coverage:?}");
    texts.insert("shared/x".into(), "after".into());
    assert_ne!(at(&texts).0, before);
}

/// The module behind a link may come from outside, and so may the module that linked code calls.
#[test]
fn code_behind_a_link_is_not_known() {
    let mut texts = repository();
    for path in [
        "infra/app/link.tf",
        "modules/net/link.tf.json",
        "modules/net",
    ] {
        if path == "modules/net" {
            texts.retain(|file, _| !file.starts_with("modules/net/"));
        }
        let mut files = files(&texts);
        files.push(CommitFile {
            path,
            kind: FileKind::Symlink,
            bytes: b"../x",
        });
        let (digest, coverage) = digest_at(&files, &stack());
        assert!(matches!(coverage, Coverage::Unknown(_)), "{coverage:?}");
        assert_eq!(digest, None);
    }
}

#[test]
fn a_link_covers_the_whole_tree() {
    let texts = repository();
    for path in ["infra/app/link", "modules/net/link"] {
        let mut files = files(&texts);
        files.push(CommitFile {
            path,
            kind: FileKind::Symlink,
            bytes: b"../x",
        });
        let coverage = digest_at(&files, &stack()).1;
        assert!(matches!(coverage, Coverage::WholeTree(_)), "{coverage:?}");
    }
}

#[test]
fn the_configuration_and_the_ids_count() {
    let texts = repository();
    let files = files(&texts);
    let tree = SourceTree::new(files);
    let of = |stack: &Stack, repository: &str, environment: &str| {
        let repository = event_repository(repository);
        let environment = EnvironmentName::parse(environment).unwrap();
        let destination = Destination {
            repository: &repository,
            environment: &environment,
        };
        digest(&tree, stack, destination).0
    };
    let first = of(&stack(), "acme/shop", "production");
    assert!(first.is_some());
    assert_eq!(first, of(&stack(), "acme/shop", "production"));
    assert_ne!(first, of(&stack(), "acme/renamed", "production"));
    assert_ne!(first, of(&stack(), "acme/shop", "staging"));
    let mut other = stack();
    other.needs = vec![StackName::parse("data").unwrap()];
    assert_ne!(first, of(&other, "acme/shop", "production"));
    let mut other = stack();
    other.name = StackName::parse("other").unwrap();
    assert_ne!(first, of(&other, "acme/shop", "production"));
}

/// Paths inside the stack and its module, and outside.
const PATHS: [&str; 8] = [
    "infra/app/a.tf",
    "infra/app/sub/b.json",
    "infra/app/c",
    "modules/net/d.tf",
    "modules/net/deep/e",
    "app/f.py",
    "infra/g.tf",
    "modules/h.tf",
];

fn is_covered(path: &str) -> bool {
    path.starts_with("infra/app/") || path.starts_with("modules/net/")
}

proptest! {
    #[test]
    fn a_digest_changes_exactly_with_the_covered_files(
        before in prop::collection::btree_map(prop::sample::select(&PATHS[..]), "[a-z ]{0,3}", 0..6),
        path in prop::sample::select(&PATHS[..]),
        // None removes the file.
        text in prop::option::of("[a-z ]{0,3}"),
        executable in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let comment = |text: &str| format!("# {text}\n");
        let with = |extra: &BTreeMap<&str, String>, executable: Option<&str>| {
            let mut texts = repository();
            texts.extend(extra.iter().map(|(path, text)| ((*path).to_owned(), comment(text))));
            let mut files: Vec<CommitFile<'_>> = files(&texts);
            for file in &mut files {
                if executable == Some(file.path) {
                    file.kind = FileKind::Executable;
                }
            }
            // In an order that means nothing.
            files.sort_by_key(|file| Sha256::digest(format!("{seed}{}", file.path)).to_vec());
            let (digest, coverage) = digest_at(&files, &stack());
            assert_eq!(coverage, Coverage::Files);
            digest
        };
        let mut after = before.clone();
        match &text {
            Some(text) => after.insert(path, text.clone()),
            None => after.remove(path),
        };
        let executable = (executable && text.is_some()).then_some(path);
        let differs = after != before || executable.is_some();
        prop_assert_eq!(
            with(&before, None) != with(&after, executable),
            differs && is_covered(path)
        );
    }

    #[test]
    fn with_the_whole_tree_any_change_counts(path in prop::sample::select(&PATHS[..])) {
        let mut texts = repository();
        texts.insert("infra/app/up.tf".into(), "locals {\n  a = \"../..\"\n}\n".into());
        let before = of_texts(&texts, &stack()).0;
        texts.insert(path.to_owned(), "# new\n".into());
        prop_assert_ne!(before, of_texts(&texts, &stack()).0);
    }

    #[test]
    fn no_text_makes_the_search_panic(text in "\\PC*", json in any::<bool>()) {
        let mut texts = repository();
        let name = if json { "infra/app/x.tf.json" } else { "infra/app/x.tf" };
        texts.insert(name.to_owned(), text);
        let _any = of_texts(&texts, &stack());
    }

    #[test]
    fn a_part_of_a_path_is_found_wherever_it_is(
        before in "([a-z]{1,3}/)?", after in "(/[a-z]{1,3})?", around in "[ \"',:=\\[]?",
    ) {
        let text = format!("{around}{before}..{after}{around}");
        prop_assert!(reads::has_parent(&text));
    }
}
