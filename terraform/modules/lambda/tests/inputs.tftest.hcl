# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

run "zip_that_was_not_built" {
  command = plan

  variables {
    zip_path = "./example.zip"
  }

  # Everything else that reads the file fails as well.
  expect_failures = [var.zip_path]
}

run "storage_too_small" {
  command = plan

  variables {
    ephemeral_storage_mb = 511
  }

  expect_failures = [var.ephemeral_storage_mb]
}

run "storage_too_large" {
  command = plan

  variables {
    ephemeral_storage_mb = 10241
  }

  expect_failures = [var.ephemeral_storage_mb]
}

run "timeout_too_long" {
  command = plan

  variables {
    timeout_seconds = 901
  }

  expect_failures = [var.timeout_seconds]
}

run "memory_too_small" {
  command = plan

  variables {
    memory_mb = 64
  }

  expect_failures = [var.memory_mb]
}

run "function_that_never_runs" {
  command = plan

  variables {
    reserved_concurrency = 0
  }

  expect_failures = [var.reserved_concurrency]
}
