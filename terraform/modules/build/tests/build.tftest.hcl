mock_provider "aws" {
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }
}

run "builds_run_our_phases_without_credentials_in_tests" {
  command = plan

  variables {
    timeout_minutes        = 80
    queued_timeout_minutes = 10
  }

  assert {
    condition     = keys(yamldecode(aws_codebuild_project.this.source[0].buildspec).phases) == ["build", "install", "post_build", "pre_build"]
    error_message = "The buildspec must have the phases install, pre_build, build and post_build."
  }

  assert {
    condition     = aws_codebuild_project.this.environment[0].type == "ARM_CONTAINER"
    error_message = "Images for arm64 must be built on arm64."
  }

  assert {
    condition     = strcontains(yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.pre_build.commands[0], "AWS_* | CODEBUILD_* | DOCKER_* | ECS_* | REGISTRY_AUTH_FILE) unset")
    error_message = "The repository's test must not have credentials in its environment."
  }

  assert {
    condition = !anytrue([for command in concat(
      yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.install.commands,
      yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.pre_build.commands,
    ) : strcontains(command, "docker login")])
    error_message = "The login must come after the repository's test."
  }

  assert {
    condition     = aws_codebuild_project.this.build_timeout == 80 && aws_codebuild_project.this.queued_timeout == 10
    error_message = "The project must have the given times."
  }

  assert {
    condition     = aws_codebuild_project.this.concurrent_build_limit == null
    error_message = "There must be no limit by default: a new account refuses any above 1."
  }
}
