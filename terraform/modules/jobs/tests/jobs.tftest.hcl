mock_provider "aws" {
  mock_resource "aws_iam_role" {
    override_during = plan
    defaults        = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }

  mock_resource "aws_batch_compute_environment" {
    override_during = plan
    defaults        = { arn = "arn:aws:batch:eu-central-1:111122223333:compute-environment/mocked" }
  }
}

variables {
  account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name               = "example"
  image              = "registry/runner:1"
  network            = { subnet_ids = ["subnet-1"], security_group_id = "sg-1" }
  artifacts          = { name = "artifacts", arn = "arn:aws:s3:::artifacts", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
  state              = { arn = "arn:aws:s3:::state", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
  repository_ids     = [1]
  plan_policy_arns   = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  apply_policy_arns  = ["arn:aws:iam::111122223333:policy/delivery"]
  pipeline_arns      = ["arn:aws:s3:::audit"]
  secret_arns        = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:git"]
  registry_arn       = "arn:aws:ecr:eu-central-1:111122223333:repository/runner"
  log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_retention_days = 365
}

run "applies_are_never_repeated_and_plans_are_cheap" {
  command = plan

  assert {
    condition     = aws_batch_job_definition.this["apply"].retry_strategy[0].attempts == 1
    error_message = "Batch must not repeat an apply: the first one may have changed things."
  }

  assert {
    condition = length(aws_batch_job_definition.this["apply"].retry_strategy[0].evaluate_on_exit) == 0 && [
      for exit in aws_batch_job_definition.this["plan"].retry_strategy[0].evaluate_on_exit :
      "${lower(exit.action)} ${join(" ", compact([exit.on_exit_code, exit.on_status_reason, exit.on_reason]))}"
    ] == ["retry 143", "retry Your Spot Task was interrupted*", "exit *"]
    error_message = "A plan that was interrupted is made again, and no other: the first rule that matches decides."
  }

  assert {
    condition     = aws_batch_compute_environment.this["plan"].compute_resources[0].type == "FARGATE_SPOT" && aws_batch_compute_environment.this["apply"].compute_resources[0].type == "FARGATE"
    error_message = "Plans run on spot capacity, applies never."
  }
}

run "container_is_what_the_runner_expects" {
  command = plan

  assert {
    condition = alltrue([for definition in aws_batch_job_definition.this :
      contains(jsondecode(definition.container_properties).environment, { name = "SLUICEGATE_BUCKET", value = "artifacts" })
    ])
    error_message = "Jobs must know the artifacts bucket."
  }

  assert {
    condition     = alltrue([for definition in aws_batch_job_definition.this : jsondecode(definition.container_properties).user == "65532:65532"])
    error_message = "Jobs must not run as root."
  }

  assert {
    condition     = alltrue([for definition in aws_batch_job_definition.this : definition.timeout[0].attempt_duration_seconds > 0])
    error_message = "Batch has no timeout of its own: each job definition needs one."
  }
}

run "boundary_holds_for_applies" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.apply.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary"
    error_message = "The apply role must have the boundary."
  }
}

run "root_is_refused" {
  command = plan

  variables {
    user = "0:0"
  }

  expect_failures = [var.user]
}

run "size_that_fargate_does_not_offer" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 3, memory_mb = 2048, timeout_seconds = 600, max_vcpus = 4 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 600, max_vcpus = 4 }
    }
  }

  expect_failures = [var.sizes]
}
