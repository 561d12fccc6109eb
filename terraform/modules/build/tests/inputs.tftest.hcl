# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  account            = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name               = "example"
  state_seconds      = 6000
  architecture       = "arm64"
  artifacts          = { arn = "arn:aws:s3:::artifacts", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
  registry_arns      = ["arn:aws:ecr:eu-central-1:111122223333:repository/acme/shop"]
  key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_retention_days = 365
}

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
