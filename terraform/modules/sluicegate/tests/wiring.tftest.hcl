# The connections: definition, event pattern, environment variables, images, time limits.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  lambda_zip = "./tests/fixtures/step.zip"
  repositories = [
    { id = 1, full_name = "acme/shop" },
    { id = 22, full_name = "acme/Site", branches = ["main", "staging"] },
    { forge = "gitlab", id = 1, full_name = "acme/platform/shop", image_repository = "images/shop" },
  ]
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
      "arn:aws:batch:eu-central-1:111122223333:job-definition/mocked:3",
      "sluicegate-build",
    ] : strcontains(output.definition, part)])
    error_message = "The definition must name the Lambdas' aliases, the job queues, the job definitions and the build project."
  }

  assert {
    condition = jsondecode(module.events.push_pattern) == {
      source      = ["github.com", "gitlab.com"]
      detail-type = ["push", "reconciliation"]
      detail = {
        repository = { full_name = ["acme/Site", "acme/platform/shop", "acme/shop"] }
        ref        = ["refs/heads/main", "refs/heads/staging"]
      }
    }
    error_message = "The rule `push` must match pushes to the enrolled repositories' branches and nothing else."
  }

  assert {
    condition = jsondecode(output.function_environments["validate"].SLUICEGATE_REPOSITORIES) == [
      { key = "github-1", full_name = "acme/shop", clone_url = "https://github.com/acme/shop.git", branches = ["main"], image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/mocked" },
      { key = "github-22", full_name = "acme/Site", clone_url = "https://github.com/acme/Site.git", branches = ["main", "staging"], image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/mocked" },
      { key = "gitlab-1", full_name = "acme/platform/shop", clone_url = "https://gitlab.com/acme/platform/shop.git", branches = ["main"], image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/mocked" },
    ]
    error_message = "SLUICEGATE_REPOSITORIES must have the form that the Lambdas read."
  }

  assert {
    condition     = toset(keys(output.function_environments["webhook"])) == toset(["SLUICEGATE_EVENT_BUS", "SLUICEGATE_LOG", "SLUICEGATE_REPOSITORIES", "SLUICEGATE_TABLE", "SLUICEGATE_WEBHOOK_SECRET_ARN"])
    error_message = "The webhook must get the variables that it reads, and no others."
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

run "local_registry_is_part_of_the_images" {
  command = plan

  variables {
    registry_host = "127.0.0.1:4566"
  }

  assert {
    condition     = output.installation.images == { github-1 = "127.0.0.1:4566/sluicegate/acme/shop", github-22 = "127.0.0.1:4566/sluicegate/acme/site", gitlab-1 = "127.0.0.1:4566/images/shop" }
    error_message = "With registry_host, images must be named <host>/<repository>, in lower case."
  }
}
