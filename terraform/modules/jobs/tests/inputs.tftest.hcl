# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

run "root_is_refused" {
  command = plan
  variables {
    user = "0:0"
  }
  expect_failures = [var.user]
}

run "vcpu_that_fargate_does_not_offer" {
  command = plan
  variables {
    sizes = { plan = { vcpu = 3 } }
  }
  expect_failures = [var.sizes]
}

run "memory_that_fargate_does_not_offer_for_the_vcpu" {
  command = plan
  variables {
    sizes = { apply = { vcpu = 0.5, memory_mb = 8192 } }
  }
  expect_failures = [var.sizes]
}

run "memory_between_two_sizes" {
  command = plan
  variables {
    sizes = { plan = { vcpu = 2, memory_mb = 5000 } }
  }
  expect_failures = [var.sizes]
}

run "fewer_vcpus_than_one_job_needs" {
  command = plan
  variables {
    sizes = { plan = { vcpu = 4, memory_mb = 8192, max_vcpus = 2 } }
  }
  expect_failures = [var.sizes]
}

run "plan_that_batch_would_kill_in_the_middle" {
  command = plan
  variables {
    sizes = { plan = { timeout_seconds = 1619 } }
  }
  expect_failures = [var.sizes]
}

run "apply_that_batch_would_kill_in_the_middle" {
  command = plan
  variables {
    sizes = { apply = { timeout_seconds = 7019 } }
  }
  expect_failures = [var.sizes]
}

run "two_attempts_longer_than_the_state" {
  command = plan
  variables {
    sizes = { plan = { timeout_seconds = 1801 } }
  }
  expect_failures = [var.sizes]
}

run "apply_longer_than_the_state" {
  command = plan
  variables {
    sizes = { apply = { timeout_seconds = 14101 } }
  }
  expect_failures = [var.sizes]
}

run "environment_that_is_set_already" {
  command = plan
  variables {
    environment = { SLUICEGATE_BUCKET = "another" }
  }
  expect_failures = [var.environment]
}

run "default_sizes_are_accepted" {
  command = plan

  assert {
    condition     = { for kind, size in var.sizes : kind => size.timeout_seconds } == { plan = 1800, apply = 7200 }
    error_message = "The default sizes must fit into the time limits around them."
  }
}
