# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

run "timeout_too_short" {
  command = plan

  variables {
    timeout_minutes = 1
  }

  expect_failures = [var.timeout_minutes]
}

run "build_and_queue_longer_than_the_state" {
  command = plan

  variables {
    timeout_minutes        = 60
    queued_timeout_minutes = 31
  }

  expect_failures = [var.timeout_minutes]
}

run "no_build_at_all" {
  command = plan

  variables {
    concurrent_build_limit = 0
  }

  expect_failures = [var.concurrent_build_limit]
}
