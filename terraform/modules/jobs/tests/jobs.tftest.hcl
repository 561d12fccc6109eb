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

run "plans_and_applies_have_their_own_queues" {
  command = plan

  assert {
    condition     = output.definitions.attempts.apply == 1 && length(output.definitions.exits.apply) == 0
    error_message = "Batch must not retry an apply: the first attempt may have changed resources."
  }

  assert {
    condition = [for exit in output.definitions.exits.plan :
      "${lower(exit.action)} ${join(" ", compact([try(exit.on_exit_code, null), try(exit.on_status_reason, null), try(exit.on_reason, null)]))}"
    ] == ["retry 143", "retry Your Spot Task was interrupted*", "exit *"]
    error_message = "Batch must retry an interrupted plan, and nothing else: the first rule that matches applies."
  }

  assert {
    condition     = aws_batch_compute_environment.this["plan"].compute_resources[0].type == "FARGATE_SPOT" && aws_batch_compute_environment.this["apply"].compute_resources[0].type == "FARGATE"
    error_message = "Plans run on spot capacity, applies never."
  }
}
