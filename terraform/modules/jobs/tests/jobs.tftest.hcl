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

run "jobs_get_what_they_need_and_no_more" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
    # The smallest and the largest values that inputs.tftest.hcl does not refuse.
    sizes = {
      plan  = { vcpu = 0.25, memory_mb = 512, timeout_seconds = 1620, max_vcpus = 1 }
      apply = { vcpu = 16, memory_mb = 122880, timeout_seconds = 14100, max_vcpus = 16 }
    }
  }

  assert {
    condition     = aws_batch_job_definition.this["apply"].retry_strategy[0].attempts == 1
    error_message = "Batch must not retry an apply: the first attempt may have changed resources."
  }

  assert {
    condition = length(aws_batch_job_definition.this["apply"].retry_strategy[0].evaluate_on_exit) == 0 && [
      for exit in aws_batch_job_definition.this["plan"].retry_strategy[0].evaluate_on_exit :
      "${lower(exit.action)} ${join(" ", compact([exit.on_exit_code, exit.on_status_reason, exit.on_reason]))}"
    ] == ["retry 143", "retry Your Spot Task was interrupted*", "exit *"]
    error_message = "Batch must retry an interrupted plan, and nothing else: the first rule that matches applies."
  }

  assert {
    condition     = aws_batch_compute_environment.this["plan"].compute_resources[0].type == "FARGATE_SPOT" && aws_batch_compute_environment.this["apply"].compute_resources[0].type == "FARGATE"
    error_message = "Plans run on spot capacity, applies never."
  }

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

  assert {
    condition     = aws_iam_role.apply.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary"
    error_message = "The apply role must have the boundary."
  }

  assert {
    condition     = { for kind, definition in aws_batch_job_definition.this : kind => definition.timeout[0].attempt_duration_seconds } == { plan = 1620, apply = 14100 }
    error_message = "The job definitions must have the given timeouts."
  }

  assert {
    condition = alltrue([for policy in [aws_iam_role_policy.plan.policy, aws_iam_role_policy.apply.policy] : one([
      for statement in jsondecode(policy).Statement : toset(statement.Resource) if statement.Sid == "NotTheJobsPolicies"
    ]) == toset(["arn:aws:iam::111122223333:policy/delivery", "arn:aws:iam::111122223333:policy/boundary"])])
    error_message = "No job may change the account's own policies that are attached to the jobs' roles."
  }
}
