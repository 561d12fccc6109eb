# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

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

run "access_logs_in_no_bucket" {
  command = plan

  variables {
    log_bucket = null
  }

  expect_failures = [var.log_bucket]
}
