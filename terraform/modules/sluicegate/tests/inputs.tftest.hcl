# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  lambda_zip = "./tests/fixtures/step.zip"
}

run "name_too_long" {
  command = plan
  variables {
    name = "sluicegate-of-the-whole-company"
  }
  expect_failures = [var.name]
}

run "unknown_processor" {
  command = plan
  variables {
    architecture = "riscv64"
  }
  expect_failures = [var.architecture]
}

run "unknown_lambda" {
  command = plan
  variables {
    lambda_settings = { reaper = { memory_mb = 512 } }
  }
  expect_failures = [var.lambda_settings]
}

run "unknown_log_level" {
  command = plan
  variables {
    log_level = "verbose"
  }
  expect_failures = [var.log_level]
}

run "log_days_that_do_not_exist" {
  command = plan
  variables {
    retention = { log_days = 100 }
  }
  expect_failures = [var.retention]
}

run "audit_lock_of_no_day" {
  command = plan
  variables {
    retention = { audit_lock_days = 0 }
  }
  expect_failures = [var.retention]
}

run "replaced_versions_gone_at_once" {
  command = plan
  variables {
    retention = { noncurrent_days = 0 }
  }
  expect_failures = [var.retention]
}

run "lambda_as_long_as_its_state" {
  command = plan
  variables {
    lambda_settings = { plan = { timeout_seconds = 90 } }
  }
  expect_failures = [var.lambda_settings]
}

run "lambda_as_long_as_its_shortest_state" {
  command = plan
  variables {
    lambda_settings = { record = { timeout_seconds = 150 } }
  }
  expect_failures = [var.lambda_settings]
}

run "tag_that_is_none" {
  command = plan
  variables {
    runner = { tag = "sha256:abc" }
  }
  expect_failures = [var.runner]
}

run "lambdas_just_shorter_than_their_states" {
  command = plan
  variables {
    lambda_settings = { plan = { timeout_seconds = 89 }, record = { memory_mb = 1024 }, validate = { timeout_seconds = 299 } }
  }
  assert {
    condition     = local.settings["plan"].timeout_seconds == 89 && local.settings["record"].timeout_seconds == local.steps["record"].timeout_seconds
    error_message = "Settings below the time limits must be accepted, and other settings keep their defaults."
  }
}
