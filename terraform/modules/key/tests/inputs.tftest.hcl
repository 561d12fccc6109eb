# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  account     = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name        = "example"
  description = "An example."
}

run "window_too_short" {
  command = plan

  variables {
    deletion_window_days = 3
  }

  expect_failures = [var.deletion_window_days]
}
