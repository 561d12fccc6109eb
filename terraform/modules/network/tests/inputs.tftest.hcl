# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

run "range_too_small" {
  command = plan

  variables {
    cidr = "10.0.0.0/28"
  }

  expect_failures = [var.cidr]
}

run "one_zone" {
  command = plan

  variables {
    zones = ["eu-central-1a"]
  }

  expect_failures = [var.zones]
}
