//! What a person does next about an error.
//!
//! The cause decides: one error name covers many causes. A cause is recognized by the texts of
//! Terraform, Docker, the shell and AWS. Without a known cause, the error name decides.

use crate::api_failure::ApiFailure;
use crate::error::{ErrorName, StepError};
use crate::ids::{RunId, StackName};

/// A cause that is recognized by its text.
struct Cause {
    /// Texts that the message contains. All of them. Line breaks count as spaces.
    texts: &'static [&'static str],
    /// What a person does next. `RUN` and `STACK` are placeholders.
    next: &'static str,
}

const fn cause(texts: &'static [&'static str], next: &'static str) -> Cause {
    Cause { texts, next }
}

/// The causes of a failed plan or apply job. The first that matches counts.
const TERRAFORM: &[Cause] = &[
    cause(
        &["match any of the checksums previously recorded"],
        "The lock file has no checksum for Linux. Run `terraform providers lock -platform=linux_amd64 -platform=linux_arm64` in the stack's directory, commit .terraform.lock.hcl, and push.",
    ),
    cause(
        &["Provider dependency changes detected"],
        "The lock file does not fit the configuration. Run `terraform init` in the stack's directory, commit .terraform.lock.hcl, and push.",
    ),
    cause(
        &["Inconsistent dependency lock file"],
        "The lock file does not fit the configuration. Run `terraform init` in the stack's directory, commit .terraform.lock.hcl, and push.",
    ),
    cause(
        &["was not found in any of the search locations"],
        "This installation does not offer the provider. Ask its operators to add it to the runner's image (crates/runner/README.md), or remove it from the stack.",
    ),
    cause(
        &["previously-selected version", "is no longer available"],
        "This installation does not offer the provider version in the lock file. Run `terraform init -upgrade` with a constraint on a version that it offers, commit .terraform.lock.hcl, and push.",
    ),
    cause(
        &["no available releases match the given constraints"],
        "This installation does not offer such a provider version. Change the constraint in required_providers, run `terraform init -upgrade`, commit .terraform.lock.hcl, and push.",
    ),
    cause(
        &["Unsupported Terraform Core version"],
        "Change required_version so that it allows the Terraform version that the cause names, and push.",
    ),
    cause(
        &["git must be available and on the PATH"],
        "The runner has no git. Build its image with scripts/build-runner-image.sh, which adds git, or copy the module into the repository, name it by a relative path such as ../modules/net, and push.",
    ),
    cause(
        &["Failed to download module", "terminal prompts disabled"],
        "The module's repository is private or does not exist, and the runner has no credentials for it. Copy the module into the repository, name it by a relative path such as ../modules/net, and push.",
    ),
    cause(
        &["Failed to download module", "git::ssh://"],
        "The runner has no SSH keys. Name the module by an https address if its repository is public; otherwise copy the module into the repository, name it by a relative path such as ../modules/net, and push.",
    ),
    cause(
        &["Error accessing remote module registry"],
        "The job cannot reach the module registry. Copy the module into the repository, name it by a relative path, or let the network of the jobs reach the registry.",
    ),
    cause(
        &["Failed to download module"],
        "The job cannot reach the module's source. Copy the module into the repository, and name it by a relative path such as ../modules/net.",
    ),
    cause(
        &["Unreadable module directory"],
        "The commit has no such directory: check the module's source, and that the directory is neither a submodule nor ignored by git.",
    ),
    cause(
        &["No value for required variable"],
        "Give the variable a default, set it in a file NAME.auto.tfvars in the stack's directory, or, if the variable has the name of a stack, add that stack to `needs`.",
    ),
    cause(
        &["fork/exec /bin/sh"],
        "The runner has no shell. Build its image with scripts/build-runner-image.sh, which adds one, or do this work in the tests or in the image build.",
    ),
    cause(
        &["Reference to undeclared"],
        "Run `terraform validate` in the stack's directory, fix what it lists, and push.",
    ),
    cause(
        &["not formatted; run `terraform fmt"],
        "Run `terraform fmt -recursive` in the stack's directory, commit, and push.",
    ),
    cause(
        &["is not authorized to perform", "explicit deny"],
        "A policy denies the call explicitly: a service control policy, the permissions boundary or a resource policy. The cause names it.",
    ),
    cause(
        &["is not authorized to perform"],
        "The role in the cause lacks the permission that it names. Add it to the policies of the jobs (terraform/modules/jobs) or to the permissions boundary, apply, then push again.",
    ),
    cause(
        &["AccessDenied", "reserved parameter name"],
        "AWS reserves parameter names that begin with aws or ssm. Give the parameter another name, and push.",
    ),
    cause(
        &["AccessDenied"],
        "A role lacks a permission; `sluicegate logs RUN STACK` shows which. Add it to the policies of the jobs (terraform/modules/jobs) or to the permissions boundary, apply, then push again.",
    ),
    cause(
        &["LimitExceeded"],
        "A limit of the AWS service is reached; `sluicegate logs RUN STACK` shows which. Remove what is not used, or raise it in Service Quotas if it is adjustable, then push again.",
    ),
    cause(
        &["ServiceQuotaExceeded"],
        "A service quota is reached. Raise it in Service Quotas or remove what is not used, then push again.",
    ),
    cause(
        &["already exists"],
        "Something with this name exists already. If it is outside every state, add an `import` block for it; if the resource is replaced with `create_before_destroy`, give it a `name_prefix`; otherwise give it another name, and push.",
    ),
    cause(
        &["AlreadyExists"],
        "Something with this name exists already. If it is outside every state, add an `import` block for it; if the resource is replaced with `create_before_destroy`, give it a `name_prefix`; otherwise give it another name, and push.",
    ),
    cause(
        &["already owned by you"],
        "The bucket exists outside the state. Add an `import` block for it, or give the resource another name, and push.",
    ),
];

/// The causes of a failed build.
const BUILD: &[Cause] = &[
    cause(
        &["the tests", "exit status 126"],
        "The test command cannot be executed. Run `git update-index --chmod=+x FILE` on its script, commit, and push.",
    ),
    cause(
        &["the tests", "exit status 127"],
        "The test command was not found. Check its path in sluicegate.yaml, that the build image has the program, and that the script's first line ends without a carriage return. `sluicegate logs RUN` shows the log.",
    ),
    cause(
        &["the tests"],
        "Run the test command of sluicegate.yaml in the build context, fix what fails, and push. `sluicegate logs RUN` shows the whole log.",
    ),
    cause(
        &["toomanyrequests"],
        "The registry of the base image limits anonymous pulls. Use a copy of the image in ECR as the base, and push.",
    ),
    cause(
        &["the image build"],
        "Run `docker build` in the build context, fix what fails, and push. `sluicegate logs RUN` shows the whole log.",
    ),
    cause(
        &["the push of the image"],
        "Read the end of the build's log with `sluicegate logs RUN`; the role of the build must be allowed to push to the repository's image repository.",
    ),
];

/// The causes of a failed rollout.
const ROLLOUT: &[Cause] = &[
    cause(
        &["of a stack have expired"],
        "Set `when_changed: always` on the stack and push: its plan writes the outputs again. Then remove the line.",
    ),
    cause(
        &["CannotPullContainer"],
        "ECS cannot pull the image: check the execution role's permissions for ECR and the subnets' route to it.",
    ),
    cause(
        &["ResourceInitializationError"],
        "ECS cannot start a task: check the execution role's permissions for the secrets and logs that the cause names, and the subnets' route to them.",
    ),
    cause(
        &["exec format error"],
        "The image was built for another processor. Set the same architecture for the build and the task definition.",
    ),
];

impl StepError {
    /// Returns what a person does next about this error, for a command that does not know the run.
    #[must_use]
    pub fn next_step_without_run(&self) -> String {
        let next = self.known_cause().unwrap_or_else(|| self.name.hint());
        if next.contains("RUN") {
            "`sluicegate runs` lists the runs; `sluicegate show` with the id of one says what to do next.".to_owned()
        } else {
            next.to_owned()
        }
    }

    /// Returns what a person does next about this error of a run, with commands to copy. Without a
    /// stack, the commands apply to the whole run.
    #[must_use]
    pub fn next_step(&self, run: &RunId, stack: Option<&StackName>) -> String {
        let stack = stack.map_or_else(String::new, |stack| format!(" {stack}"));
        self.known_cause()
            .unwrap_or_else(|| self.name.hint())
            .replace(" STACK", &stack)
            .replace(" RUN", &format!(" {run}"))
    }

    fn known_cause(&self) -> Option<&'static str> {
        if self.name == ErrorName::ApiUnavailable {
            return ApiFailure::of(&self.message).map(ApiFailure::next_step);
        }
        let causes = match self.name {
            ErrorName::PlanFailed | ErrorName::ApplyFailed => TERRAFORM,
            ErrorName::BuildFailed => BUILD,
            ErrorName::DeployFailed | ErrorName::Unhealthy => ROLLOUT,
            _ => return None,
        };
        // Not what a log quotes, nor the addresses of resources: only the first error.
        let message = match self.name {
            ErrorName::BuildFailed => self.message.lines().next(),
            _ => self.message.split("; done: ").next(),
        };
        let message = message.unwrap_or_default();
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let matches = |cause: &&Cause| cause.texts.iter().all(|text| message.contains(text));
        causes.iter().find(matches).map(|cause| cause.next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn next(name: ErrorName, message: &str) -> String {
        let run = RunId::parse("shop-01010101-9f8e7d").unwrap();
        let stack = StackName::parse("data").unwrap();
        StepError::new(name, message).next_step(&run, Some(&stack))
    }

    /// Messages of Terraform 1.11, Docker, CodeBuild and AWS.
    #[test]
    fn the_next_step_follows_from_the_cause() {
        use ErrorName::{
            ApiUnavailable, ApplyFailed, BuildFailed, DeployFailed, PlanFailed, StateUnwritten,
        };
        let cases = [
            (
                PlanFailed,
                "Error while installing hashicorp/aws v5.100.0: the local package for registry.terraform.io/hashicorp/aws 5.100.0 doesn't match any of the\nchecksums previously recorded in the dependency lock file (this might be because the available checksums are for packages targeting different platforms)",
            ),
            (
                PlanFailed,
                "Provider dependency changes detected: Changes to the required provider dependencies were detected, but the lock file is read-only. To use and record these requirements, run \"terraform init\" without the \"-lockfile=readonly\" flag.",
            ),
            (
                PlanFailed,
                "Failed to query available provider packages: provider registry.terraform.io/hashicorp/random was not found in any of the search locations",
            ),
            (
                PlanFailed,
                "Could not retrieve the list of available versions for provider hashicorp/aws: the previously-selected version 5.90.0 is no longer available",
            ),
            (
                PlanFailed,
                "Could not retrieve the list of available versions for provider hashicorp/aws: no available releases match the given constraints ~> 6.0",
            ),
            (
                PlanFailed,
                "Unsupported Terraform Core version: This configuration does not support Terraform version 1.11.4.",
            ),
            (
                PlanFailed,
                "Failed to download module: Could not download module \"m\" (main.tf:1) source code from \"git::https://example.com/x.git\": git must be available and on the PATH",
            ),
            (
                PlanFailed,
                "Failed to download module: Could not download module \"m\" (main.tf:1) source code from \"git::https://github.com/acme/net.git\": error downloading: /usr/bin/git exited with 128: fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            ),
            (
                PlanFailed,
                "Failed to download module: Could not download module \"m\" (main.tf:1) source code from \"git::ssh://git@github.com/acme/net.git\": error downloading: /usr/bin/git exited with 128: git@github.com: Permission denied (publickey).",
            ),
            (
                PlanFailed,
                "Error accessing remote module registry: Failed to retrieve available versions for module \"label\" (main.tf:1)",
            ),
            (
                PlanFailed,
                "Unreadable module directory: Unable to evaluate directory symlink: lstat ../../vendor: no such file or directory",
            ),
            (
                PlanFailed,
                "No value for required variable: The root module input variable \"image_tag\" is not set, and has no default value. Use a -var or -var-file command line argument",
            ),
            (ApplyFailed, "fork/exec /bin/sh: no such file or directory"),
            (
                ApplyFailed,
                "creating SQS Queue: api error AccessDenied: User: arn:aws:sts::1:assumed-role/apply is not authorized to perform: sqs:CreateQueue",
            ),
            (
                ApplyFailed,
                "creating SSM Parameter (/shop): ParameterAlreadyExists: The parameter already exists.",
            ),
            (
                ApiUnavailable,
                "terraform apply failed: reading IAM Role (app): operation error IAM: GetRole, https response error StatusCode: 400, RequestID: 1b, api error Throttling: Rate exceeded",
            ),
            (ApiUnavailable, "something new"),
            (
                StateUnwritten,
                "stack data: Terraform could not write its state",
            ),
            (ApplyFailed, "something new"),
            (
                BuildFailed,
                "the tests of commit 1a2b3c4d failed in build shop:1: exit status 126",
            ),
            (
                BuildFailed,
                "the tests of commit 1a2b3c4d failed in build shop:1: exit status 127",
            ),
            (
                BuildFailed,
                "the tests of commit 1a2b3c4d failed in build shop:1: exit status 101",
            ),
            (
                BuildFailed,
                "the image build of commit 1a2b3c4d failed in build shop:1: exit status 1",
            ),
            (
                DeployFailed,
                "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
            ),
        ];
        let shown = cases.map(|(name, message)| {
            let cause: String = message.chars().take(70).collect();
            format!("{name}: {cause}...\n  {}", next(name, message))
        });
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn an_error_without_a_known_cause_gets_the_next_step_of_its_name() {
        let shown = next(ErrorName::PlanFailed, "something new");
        assert_eq!(
            shown,
            "Run `sluicegate logs shop-01010101-9f8e7d data`, fix the errors, and push a new commit."
        );
        // A quoted text of another program does not explain a refused source.
        let refused = next(ErrorName::SourceRefused, "\"already exists\" is a bad path");
        assert!(refused.contains("sluicegate config check"), "{refused}");
    }

    #[test]
    fn no_next_step_has_a_placeholder_left() {
        let run = RunId::parse("shop-01010101-9f8e7d").unwrap();
        for causes in [TERRAFORM, BUILD, ROLLOUT] {
            for cause in causes {
                let name = match causes {
                    causes if std::ptr::eq(causes, BUILD) => ErrorName::BuildFailed,
                    causes if std::ptr::eq(causes, ROLLOUT) => ErrorName::DeployFailed,
                    _ => ErrorName::PlanFailed,
                };
                let error = StepError::new(name, cause.texts.join(" "));
                let shown = error.next_step(&run, None);
                assert!(
                    !shown.contains("RUN") && !shown.contains("STACK"),
                    "{shown}"
                );
                assert!(shown.ends_with('.'), "{shown}");
            }
        }
    }
}
