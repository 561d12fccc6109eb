# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

run "visibility_longer_than_sqs_allows" {
  command = plan

  variables {
    visibility_timeout_seconds = 43201
  }

  expect_failures = [var.visibility_timeout_seconds]
}

run "no_attempt_at_all" {
  command = plan

  variables {
    dead_letter = { arn = "arn:aws:sqs:eu-central-1:111122223333:example-unread", attempts = 0 }
  }

  expect_failures = [var.dead_letter]
}
