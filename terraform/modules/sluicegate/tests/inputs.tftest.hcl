# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  lambda_zip   = "./tests/fixtures/step.zip"
  repositories = [{ id = 1, full_name = "acme/shop" }]
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

run "repository_on_github_with_a_subgroup" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/platform/shop" }]
  }
  expect_failures = [var.repositories]
}

run "repository_with_an_empty_group" {
  command = plan
  variables {
    repositories = [{ forge = "gitlab", id = 1, full_name = "acme//shop" }]
  }
  expect_failures = [var.repositories]
}

run "repository_with_a_dot_as_name" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/." }]
  }
  expect_failures = [var.repositories]
}

run "repository_with_two_dots_as_name" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "../shop" }]
  }
  expect_failures = [var.repositories]
}

run "repository_with_two_dots_as_group" {
  command = plan
  variables {
    repositories = [{ forge = "gitlab", id = 1, full_name = "acme/../shop" }]
  }
  expect_failures = [var.repositories]
}

run "repository_with_dots_in_its_names" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = ".acme/shop..api", image_repository = "shop-api" }]
  }
}

run "clone_url_with_two_dots_as_name" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", clone_url = "https://github.com/acme/../other.git" }]
  }
  expect_failures = [var.repositories]
}

run "image_repository_with_two_dots_as_name" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", image_repository = "acme/../other" }]
  }
  expect_failures = [var.repositories]
}

run "unknown_forge" {
  command = plan
  variables {
    repositories = [{ forge = "gitea", id = 1, full_name = "acme/shop" }]
  }
  expect_failures = [var.repositories]
}

run "same_repository_on_two_forges" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop" }, { forge = "gitlab", id = 1, full_name = "acme/shop", image_repository = "gitlab/shop" }]
  }
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

run "service_without_cluster" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", services = ["shop"] }]
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

run "policy_that_is_not_an_arn" {
  command = plan
  variables {
    job_policies = { apply_arns = ["AdministratorAccess"] }
  }
  expect_failures = [var.job_policies]
}

run "boundary_that_is_not_a_policy" {
  command = plan
  variables {
    job_policies = { boundary_arn = "arn:aws:iam::111122223333:role/delivery" }
  }
  expect_failures = [var.job_policies]
}

run "task_role_that_is_not_a_role" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", task_role_arns = ["shop-task"] }]
  }
  expect_failures = [var.repositories]
}

run "images_in_the_runners_repository" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", image_repository = "sluicegate/runner" }]
  }
  expect_failures = [var.repositories]
}

run "images_of_two_in_one_repository" {
  command = plan
  variables {
    repositories = [{ id = 1, full_name = "acme/shop", image_repository = "images" }, { id = 2, full_name = "acme/site", image_repository = "images" }]
  }
  expect_failures = [var.repositories]
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

run "more_repositories_than_an_environment_holds" {
  command = plan
  variables {
    repositories = [
      { id = 1, full_name = "acme/a-repository-with-quite-a-long-name-1", branches = ["main", "staging", "production"] },
      { id = 2, full_name = "acme/a-repository-with-quite-a-long-name-2", branches = ["main", "staging", "production"] },
      { id = 3, full_name = "acme/a-repository-with-quite-a-long-name-3", branches = ["main", "staging", "production"] },
      { id = 4, full_name = "acme/a-repository-with-quite-a-long-name-4", branches = ["main", "staging", "production"] },
      { id = 5, full_name = "acme/a-repository-with-quite-a-long-name-5", branches = ["main", "staging", "production"] },
      { id = 6, full_name = "acme/a-repository-with-quite-a-long-name-6", branches = ["main", "staging", "production"] },
      { id = 7, full_name = "acme/a-repository-with-quite-a-long-name-7", branches = ["main", "staging", "production"] },
      { id = 8, full_name = "acme/a-repository-with-quite-a-long-name-8", branches = ["main", "staging", "production"] },
      { id = 9, full_name = "acme/a-repository-with-quite-a-long-name-9", branches = ["main", "staging", "production"] },
      { id = 10, full_name = "acme/a-repository-with-quite-a-long-name-10", branches = ["main", "staging", "production"] },
      { id = 11, full_name = "acme/a-repository-with-quite-a-long-name-11", branches = ["main", "staging", "production"] },
      { id = 12, full_name = "acme/a-repository-with-quite-a-long-name-12", branches = ["main", "staging", "production"] },
      { id = 13, full_name = "acme/a-repository-with-quite-a-long-name-13", branches = ["main", "staging", "production"] },
      { id = 14, full_name = "acme/a-repository-with-quite-a-long-name-14", branches = ["main", "staging", "production"] },
      { id = 15, full_name = "acme/a-repository-with-quite-a-long-name-15", branches = ["main", "staging", "production"] },
    ]
  }
  expect_failures = [var.repositories]
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
