//! The rules for the directories that the configuration names: the stacks and the build context.

use super::CONFIG_FILE;
use super::hcl::{self, BackendBlock, Facts};
use super::links;
use super::problem::{Problem, Rule};
use super::reach::Reach;
use super::tree::{SourceFile, Standing, Tree};
use crate::config::{Build, Stack};
use crate::text::argument;

pub(super) fn check(
    tree: &Tree<'_>,
    stacks: &[Stack],
    build: Option<&Build>,
    reach: &Reach<'_>,
    problems: &mut Vec<Problem>,
) {
    for stack in stacks {
        check_stack(tree, stack, problems);
    }
    if let Some(build) = build {
        check_build(tree, build, problems);
    }
    let is_dir = |path: &str| {
        let mut dirs = stacks.iter().map(|stack| stack.dir.as_str());
        dirs.any(|dir| dir == path) || build.is_some_and(|build| build.context == path)
    };
    for file in tree.files() {
        if let Some(reader) = reach.reader(&file.path)
            // A submodule in the place of a configured directory has a problem already.
            && !is_dir(&file.path)
        {
            check_content(file, reader, problems);
        }
    }
}

pub(super) fn facts(tree: &Tree<'_>, dir: &str) -> Facts {
    hcl::scan(tree.directly_in(dir).filter_map(|(name, file)| {
        let file = if file.is_link() {
            let target = tree.file(&links::target(tree, file)?)?;
            Some(target).filter(|target| hcl::is_terraform(&target.path))?
        } else {
            file
        };
        Some((name, file.text()?))
    }))
}

fn check_stack(tree: &Tree<'_>, stack: &Stack, problems: &mut Vec<Problem>) {
    let dir = stack.dir.as_str();
    let owner = format!("stack {}", stack.name);
    let edit = format!("correct the `dir` of stack {} in {CONFIG_FILE}", stack.name);
    if !check_directory(tree, dir, &owner, &edit, problems) {
        return;
    }
    for (name, file) in tree.directly_in(dir).filter(|(_, file)| file.is_link()) {
        problems.extend(check_code_link(tree, name, file));
    }
    if !tree
        .directly_in(dir)
        .any(|(name, file)| !is_submodule(file) && hcl::is_terraform(name))
    {
        problems.push(
            Problem::new(
                Rule::NoTerraform,
                dir,
                format!("has no .tf file, but is the directory of {owner}"),
            )
            .expected("the stack's Terraform configuration directly in it")
            .fix(format!("commit its .tf files, or {edit}")),
        );
        return;
    }
    for block in facts(tree, dir).backends {
        problems.extend(check_backend(dir, &block));
    }
}

/// Finds a link that Terraform reads as code, to a file that these rules do not read as code. A
/// backend in that file would not be found.
fn check_code_link(tree: &Tree<'_>, name: &str, file: &SourceFile<'_>) -> Option<Problem> {
    let ending = [".tf.json", ".tf"]
        .into_iter()
        .find(|ending| name.ends_with(ending))?;
    let target = links::target(tree, file)?;
    if tree.file(&target).is_none() || target.ends_with(ending) {
        return None;
    }
    let found = format!(
        "is a symbolic link to {target:?}, which is not checked as this kind of Terraform code"
    );
    Some(
        Problem::new(Rule::LinkInStack, &file.path, found)
            .expected(format!("a file whose name ends with {ending}"))
            .fix(format!("rename the target, so that it ends with {ending}")),
    )
}

fn is_submodule(file: &SourceFile<'_>) -> bool {
    !file.is_regular() && !file.is_link()
}

fn inside(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

fn check_backend(dir: &str, block: &BackendBlock) -> Option<Problem> {
    let (kind, settings) = (block.kind.as_str(), &block.settings);
    let found = if is_override(&block.file) {
        format!("is an override file with the backend {kind:?}")
    } else if kind != "s3" {
        format!("has the backend {kind:?}")
    } else if settings.is_empty() {
        return None;
    } else {
        format!("has a backend block that sets {}", settings.join(", "))
    };
    Some(
        Problem::new(Rule::Backend, inside(dir, &block.file), found)
            .line(block.line)
            .expected("an empty `backend \"s3\" {}`, which the pipeline fills in, or no backend")
            .fix(if is_override(&block.file) {
                "remove the block from the override file"
            } else {
                "replace the block by `backend \"s3\" {}`"
            }),
    )
}

fn is_override(name: &str) -> bool {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    stem == "override.tf" || stem.ends_with("_override.tf")
}

fn check_build(tree: &Tree<'_>, build: &Build, problems: &mut Vec<Problem>) {
    let context = build.context.as_str();
    let edit = format!("correct `build.context` in {CONFIG_FILE}");
    if !check_directory(tree, context, "build.context", &edit, problems) {
        return;
    }
    let path = inside(context, &build.dockerfile);
    match tree.at(&path) {
        Standing::File => {}
        Standing::Link(path) => problems.push(link(
            &path,
            "is a symbolic link on the way to build.dockerfile",
        )),
        Standing::Nothing | Standing::Directory | Standing::Submodule => problems.push(
            Problem::new(
                Rule::NoDockerfile,
                path,
                "is not a file, but build.dockerfile names it",
            )
            .expected("the Dockerfile of the image")
            .fix(format!(
                "commit the Dockerfile, or correct `build.dockerfile` in {CONFIG_FILE}"
            )),
        ),
    }
}

/// Returns whether the path is a directory that no symbolic link leads to. Otherwise adds a problem.
fn check_directory(
    tree: &Tree<'_>,
    dir: &str,
    owner: &str,
    edit: &str,
    problems: &mut Vec<Problem>,
) -> bool {
    let expected = "a directory of the repository";
    let problem = match tree.at(dir) {
        Standing::Directory => return true,
        Standing::Link(path) => link(
            &path,
            &format!("is a symbolic link on the way to {dir:?}, the directory of {owner}"),
        ),
        Standing::Submodule => submodule(dir, owner),
        Standing::File => Problem::new(
            Rule::NotADirectory,
            dir,
            format!("is a file, but {CONFIG_FILE} names it as the directory of {owner}"),
        )
        .expected(expected)
        .fix(edit),
        Standing::Nothing => Problem::new(
            Rule::NoDirectory,
            dir,
            format!("does not exist, but {CONFIG_FILE} names it as the directory of {owner}"),
        )
        .expected(expected)
        .fix(format!("commit its files, or {edit}")),
    };
    problems.push(problem);
    false
}

fn link(path: &str, found: &str) -> Problem {
    Problem::new(Rule::LinkInStack, path, found)
        .expected("a path without links, so that what is checked is what is used")
        .fix(format!(
            "name the target of the link in {CONFIG_FILE}, or replace the link by a copy of it"
        ))
}

/// Finds a file whose content is not in the commit itself.
fn check_content(file: &SourceFile<'_>, reader: &str, problems: &mut Vec<Problem>) {
    if is_submodule(file) {
        problems.push(submodule(&file.path, reader));
    } else if file.is_lfs_pointer() {
        let found =
            format!("is a Git LFS pointer that {reader} reads: its content is not in the commit");
        problems.push(
            Problem::new(Rule::ContentMissing, &file.path, found)
                .expected("the content itself")
                .fix(take_out_of_lfs(&file.path)),
        );
    }
}

/// Returns the commands that commit a file itself, whatever pattern tracks it: the attributes that are nearest to it count.
fn take_out_of_lfs(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_plain = |c: char| c.is_alphanumeric() || "._-+@".contains(c);
    let pattern = if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    let attributes = inside(directory, ".gitattributes");
    format!(
        "run `git lfs pull`, `echo {} >> {}` and `git add --renormalize {}`, and commit both files",
        argument(&format!("{pattern} -filter -diff -merge -text")),
        argument(&attributes),
        argument(path)
    )
}

fn submodule(path: &str, reader: &str) -> Problem {
    let found = format!("is a submodule that {reader} reads: its content is not in the commit");
    let path_argument = argument(path);
    Problem::new(Rule::ContentMissing, path, found)
        .expected("the files themselves")
        .fix(format!(
            "run `git submodule update --init {path_argument}`, `git rm --cached {path_argument}`, remove {}, and commit its files",
            argument(&inside(path, ".git"))
        ))
}
