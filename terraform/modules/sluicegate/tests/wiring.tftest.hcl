# The connections: definition, event pattern, environment variables, images, time limits.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  lambda_zip = "./tests/fixtures/step.zip"
}

run "everything_is_connected" {
  command = plan

  assert {
    condition     = length(regexall("[$][{]", output.definition)) == 0
    error_message = "The state machine's definition still has a placeholder."
  }

  assert {
    condition     = can(jsondecode(output.definition).StartAt)
    error_message = "The state machine's definition is not JSON with StartAt."
  }

  assert {
    condition = alltrue([for part in [
      "arn:aws:lambda:eu-central-1:111122223333:function:mocked:live",
      "arn:aws:batch:eu-central-1:111122223333:job-queue/mocked",
    ] : strcontains(output.definition, part)])
    error_message = "The definition must name the Lambdas' aliases and the job queues."
  }

  assert {
    condition     = jsondecode(module.events.push_pattern) == { source = ["github.com", "gitlab.com"], detail-type = ["push", "reconciliation"] }
    error_message = "The rule `push` must match pushes and missed pushes of every forge, and nothing else."
  }

  assert {
    condition     = toset(keys(output.function_environments["webhook"])) == toset(["SLUICEGATE_EVENT_BUS", "SLUICEGATE_LOG", "SLUICEGATE_TABLE"])
    error_message = "The webhook must get the variables that it reads, and no others."
  }

  assert {
    condition = output.function_environments["start"] == tomap({
      SLUICEGATE_LOG               = "info"
      SLUICEGATE_STATE_MACHINE_ARN = "arn:aws:states:eu-central-1:111122223333:stateMachine:sluicegate-deliver"
    })
    error_message = "start must get the ARN of the state machine, and nothing else."
  }

  assert {
    condition = { for name, environment in output.function_environments : name => environment.SLUICEGATE_JOB_QUEUES
      if can(environment.SLUICEGATE_JOB_QUEUES)
    } == { for name in ["apply", "plan", "reconcile", "record"] : name => "sluicegate-plan,sluicegate-apply" }
    error_message = "plan, apply, reconcile and record must get the names of both queues, separated by a comma."
  }

  assert {
    condition     = toset([for name, seconds in local.call_seconds : name if seconds == 901]) == toset([for name, step in local.steps : name if !contains(step.callers, "state-machine")])
    error_message = "statemachine/limits.json must have a time limit for every step that the state machine calls."
  }

  assert {
    condition     = alltrue([for name, settings in local.settings : settings.timeout_seconds < local.call_seconds[name]])
    error_message = "A Lambda's own timeout must be shorter than the state's that calls it."
  }
}
