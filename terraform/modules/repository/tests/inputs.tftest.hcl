# Invalid values are refused. check.sh runs this file with variables.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  id           = 1
  full_name    = "acme/shop"
  environments = { production = { branches = ["main"] } }
  installation = {
    name              = "sluicegate"
    account           = { partition = "aws", id = "111122223333", region = "eu-central-1" }
    protect           = true
    table_name        = "sluicegate"
    registry_host     = null
    deployer_role_arn = "arn:aws:iam::111122223333:role/sluicegate-deploy"
    key_arns          = { data = "key", secrets = "key" }
    artifacts         = { name = "artifacts", arn = "arn:aws:s3:::artifacts", key_arn = "key" }
    state             = { arn = "arn:aws:s3:::state", key_arn = "key" }
    builds = {
      name                   = "sluicegate-build"
      architecture           = "x86_64"
      environment_image      = null
      compute_type           = "BUILD_GENERAL1_SMALL"
      timeout_minutes        = 60
      queued_timeout_minutes = 30
      concurrent_build_limit = null
      state_seconds          = 6000
    }
    logs = { key_arn = "key", retention_days = 30 }
    jobs = {
      image              = "runner:1"
      architecture       = "x86_64"
      environment        = {}
      user               = "65532:65532"
      sizes              = {}
      attempts           = {}
      exits              = {}
      execution_role_arn = "arn:aws:iam::111122223333:role/execution"
      log_group          = "jobs"
    }
    pipeline = { arns = [], secret_arns = [], image_arns = [], key_arns = [] }
  }
}

run "repository_without_owner" {
  command = plan
  variables {
    full_name = "shop"
  }
  expect_failures = [var.full_name]
}

run "repository_on_github_with_a_subgroup" {
  command = plan
  variables {
    full_name = "acme/platform/shop"
  }
  expect_failures = [var.full_name]
}

run "repository_with_an_empty_group" {
  command = plan
  variables {
    forge     = "gitlab"
    full_name = "acme//shop"
  }
  expect_failures = [var.full_name]
}

run "repository_with_a_dot_as_name" {
  command = plan
  variables {
    full_name = "acme/."
  }
  expect_failures = [var.full_name]
}

run "repository_with_two_dots_as_group" {
  command = plan
  variables {
    forge     = "gitlab"
    full_name = "acme/../shop"
  }
  expect_failures = [var.full_name]
}

run "repository_with_dots_in_its_names" {
  command = plan
  variables {
    full_name        = ".acme/shop..api"
    image_repository = "sluicegate/shop-api"
  }
}

run "clone_url_with_two_dots_as_name" {
  command = plan
  variables {
    clone_url = "https://github.com/acme/../other.git"
  }
  expect_failures = [var.full_name]
}

run "image_repository_with_two_dots_as_name" {
  command = plan
  variables {
    image_repository = "sluicegate/../other"
  }
  expect_failures = [var.image_repository]
}

run "image_repository_outside_the_installation" {
  command = plan
  variables {
    image_repository = "billing"
  }
  expect_failures = [var.image_repository]
}

run "images_in_the_runners_repository" {
  command = plan
  variables {
    image_repository = "sluicegate/runner"
  }
  expect_failures = [var.image_repository]
}

run "unknown_forge" {
  command = plan
  variables {
    forge = "gitea"
  }
  expect_failures = [var.forge]
}

run "half_an_id" {
  command = plan
  variables {
    id = 1.5
  }
  expect_failures = [var.id]
}

run "clone_by_ssh" {
  command = plan
  variables {
    clone_url = "git@github.com:acme/shop.git"
  }
  expect_failures = [var.clone_url]
}

run "no_environment" {
  command = plan
  variables {
    environments = {}
  }
  expect_failures = [var.environments]
}

run "environment_without_a_branch" {
  command = plan
  variables {
    environments = { production = { branches = [] } }
  }
  expect_failures = [var.environments]
}

run "branch_as_ref" {
  command = plan
  variables {
    environments = { production = { branches = ["refs/heads/main"] } }
  }
  expect_failures = [var.environments]
}

run "branch_of_two_environments" {
  command = plan
  variables {
    environments = { production = { branches = ["main"] }, staging = { branches = ["main"] } }
  }
  expect_failures = [var.environments]
}

run "unknown_approval" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], approval = "sometimes" } }
  }
  expect_failures = [var.environments]
}

run "session_as_principal" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], approvers = [{ principal = "arn:aws:sts::111122223333:assumed-role/approvers/mona" }] } }
  }
  expect_failures = [var.environments]
}

run "service_without_cluster" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], services = ["shop"] } }
  }
  expect_failures = [var.environments]
}

run "task_role_that_is_not_a_role" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], task_role_arns = ["shop-task"] } }
  }
  expect_failures = [var.environments]
}

run "policy_that_is_not_an_arn" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], plan_policy_arns = ["ReadOnlyAccess"] } }
  }
  expect_failures = [var.environments]
}

run "boundary_that_is_not_a_policy" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], boundary_arn = "arn:aws:iam::111122223333:role/delivery" } }
  }
  expect_failures = [var.environments]
}

run "applies_without_a_boundary" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], apply_policy_arns = ["arn:aws:iam::aws:policy/PowerUserAccess"] } }
  }
  expect_failures = [var.environments]
}

run "applies_that_may_create_any_role" {
  command = plan
  variables {
    environments = { production = { branches = ["main"], apply_policy_arns = ["arn:aws:iam::aws:policy/PowerUserAccess"], require_boundary = false } }
  }
}
