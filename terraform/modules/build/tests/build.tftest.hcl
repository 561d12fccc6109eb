mock_provider "aws" {
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    override_during = plan
    defaults        = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:mocked" }
  }
}

run "a_test_cannot_push_images_and_an_image_is_built_without_the_repositorys_commands" {
  command = plan

  variables {
    timeout_minutes        = 80
    queued_timeout_minutes = 10
  }

  assert {
    condition     = output.projects == { test = "example-build-github-42-test", image = "example-build-github-42-image" }
    error_message = "The projects must have the names that domain::build derives: <name>-test and <name>-image."
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(output.policies.test).Statement : statement.Action])) == toset([
      "kms:Decrypt", "logs:CreateLogStream", "logs:PutLogEvents", "s3:GetObject", "s3:GetObjectVersion",
    ])
    error_message = "A test must be able to read sealed sources and to write its log, and nothing else: its command can use the role's credentials."
  }

  assert {
    condition = alltrue([for statement in jsondecode(output.policies.test).Statement :
      statement.Resource == "arn:aws:s3:::artifacts/sources/github-42/*" if statement.Sid == "Sources"
    ])
    error_message = "A test must be able to read sources of its own repository only."
  }

  assert {
    condition = [for statement in jsondecode(output.policies.image).Statement : statement.Resource
      if contains(statement.Action, "ecr:PutImage")
    ] == ["arn:aws:ecr:eu-central-1:111122223333:repository/acme/shop"]
    error_message = "An image build must be able to push to the ECR repository of its own repository only."
  }

  assert {
    condition = { for kind, project in aws_codebuild_project.this : kind => project.environment[0].privileged_mode } == {
      test = false, image = true,
    }
    error_message = "Only the project that runs docker may be privileged."
  }

  assert {
    condition = { for kind, project in aws_codebuild_project.this : kind => join(" ", keys(yamldecode(project.source[0].buildspec).phases)) } == {
      test = "install pre_build", image = "build install post_build",
    }
    error_message = "The phases name the part that failed (domain::caught): pre_build the test, build the image, post_build the push."
  }

  assert {
    condition = !strcontains(aws_codebuild_project.this["image"].source[0].buildspec, "$SLUICEGATE_TEST") && !anytrue([
      for word in ["docker", "aws ecr"] : anytrue([for phase in yamldecode(aws_codebuild_project.this["test"].source[0].buildspec).phases :
        anytrue([for command in phase.commands : strcontains(command, word)])
      ])
    ])
    error_message = "The test must run in the project of the test only, and docker in that of the image only."
  }

  assert {
    condition     = strcontains(yamldecode(aws_codebuild_project.this["test"].source[0].buildspec).phases.pre_build.commands[0], "AWS_* | CODEBUILD_* | DOCKER_* | ECS_* | REGISTRY_AUTH_FILE) unset")
    error_message = "The repository's test must not have credentials in its environment."
  }

  assert {
    condition     = alltrue([for project in aws_codebuild_project.this : project.environment[0].type == "ARM_CONTAINER"])
    error_message = "Images for arm64 must be tested and built on arm64."
  }

  assert {
    condition     = alltrue([for project in aws_codebuild_project.this : project.build_timeout == 80 && project.queued_timeout == 10])
    error_message = "The projects must have the given times."
  }

  assert {
    condition     = alltrue([for project in aws_codebuild_project.this : project.concurrent_build_limit == null])
    error_message = "There must be no limit by default: a new account refuses any above 1."
  }
}
