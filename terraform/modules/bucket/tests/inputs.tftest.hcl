# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  account    = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name       = "example-111122223333"
  key_arn    = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_bucket = "logs-111122223333"
}

run "name_too_long" {
  command = plan

  variables {
    name = "a-name-with-more-than-sixty-three-characters-that-no-bucket-can-have"
  }

  expect_failures = [var.name]
}

run "lock_of_no_day" {
  command = plan

  variables {
    object_lock_days = 0
  }

  expect_failures = [var.object_lock_days]
}

run "expiration_of_half_a_day" {
  command = plan

  variables {
    expirations = [{ id = "old", days = 0.5 }]
  }

  expect_failures = [var.expirations]
}

run "nobody_logs_its_access" {
  command = plan

  variables {
    log_bucket = null
  }

  expect_failures = [var.log_bucket]
}
