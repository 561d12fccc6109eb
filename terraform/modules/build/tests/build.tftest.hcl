mock_provider "aws" {
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }
}

variables {
  account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name               = "example"
  state_seconds      = 6000
  architecture       = "arm64"
  artifacts          = { arn = "arn:aws:s3:::artifacts", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
  registry_arns      = ["arn:aws:ecr:eu-central-1:111122223333:repository/acme/shop"]
  key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_retention_days = 365
}

run "builds_run_our_phases_without_credentials_in_tests" {
  command = plan

  variables {
    timeout_minutes        = 80
    queued_timeout_minutes = 10
  }

  assert {
    condition     = keys(yamldecode(aws_codebuild_project.this.source[0].buildspec).phases) == ["build", "post_build", "pre_build"]
    error_message = "The buildspec must have the phases pre_build, build and post_build."
  }

  assert {
    condition     = aws_codebuild_project.this.environment[0].type == "ARM_CONTAINER"
    error_message = "Images for arm64 must be built on arm64."
  }

  assert {
    condition     = strcontains(yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.build.commands[0], "AWS_* | CODEBUILD_* | DOCKER_* | ECS_* | REGISTRY_AUTH_FILE) unset")
    error_message = "The repository's test must not have credentials in its environment."
  }

  assert {
    condition = !anytrue([for command in concat(
      yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.pre_build.commands,
      [yamldecode(aws_codebuild_project.this.source[0].buildspec).phases.build.commands[0]],
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
