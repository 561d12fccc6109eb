# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

run "window_too_short" {
  command = plan

  variables {
    deletion_window_days = 3
  }

  expect_failures = [var.deletion_window_days]
}
