# Wrong values are refused before anything is made.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  artifacts_dir = "./tests/fixtures/functions"
  repositories  = [{ id = 1, full_name = "acme/shop" }]
}

run "name_too_long" {
  command = plan
  variables {
    name = "sluicegate-of-the-whole-company"
  }
  expect_failures = [var.name]
}

run "no_repository" {
  command = plan
  variables {
    repositories = []
  }
  expect_failures = [var.repositories]
}

run "repository_without_owner" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "shop" }]
  }
  expect_failures = [var.repositories]
}

run "repository_twice" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop" }, { id = 2, full_name = "acme/Shop" }]
  }
  expect_failures = [var.repositories]
}

run "branch_as_ref" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", branches = ["refs/heads/main"] }]
  }
  expect_failures = [var.repositories]
}

run "clone_by_ssh" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", clone_url = "git@github.com:acme/shop.git" }]
  }
  expect_failures = [var.repositories]
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

run "policy_that_is_no_arn" {
  command = plan
  variables {
    job_policies = { apply_arns = ["AdministratorAccess"] }
  }
  expect_failures = [var.job_policies]
}
