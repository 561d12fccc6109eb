# Invalid values are refused. check.sh runs this file with variables.tf and limits.tf alone: no provider starts.

mock_provider "aws" {}

variables {
  account           = { partition = "aws", id = "111122223333", region = "eu-central-1" }
  name              = "example"
  image             = "registry/runner:1"
  network           = { subnet_ids = ["subnet-1"], security_group_id = "sg-1" }
  artifacts         = { name = "artifacts", arn = "arn:aws:s3:::artifacts", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
  state             = { arn = "arn:aws:s3:::state", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555" }
  repository_keys   = ["github-1"]
  plan_policy_arns  = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  apply_policy_arns = ["arn:aws:iam::111122223333:policy/delivery"]
  state_seconds     = { plan = 3900, apply = 14400 }
  terraform_seconds = { plan = 1500, apply = 6900 }
  pipeline = {
    arns        = ["arn:aws:s3:::audit"]
    secret_arns = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:git"]
    image_arns  = ["arn:aws:ecr:eu-central-1:111122223333:repository/sluicegate/*"]
    key_arns    = ["arn:aws:kms:eu-central-1:111122223333:alias/sluicegate-*"]
  }
  registry_arn       = "arn:aws:ecr:eu-central-1:111122223333:repository/runner"
  log_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  log_retention_days = 365
}

run "root_is_refused" {
  command = plan

  variables {
    user = "0:0"
  }

  expect_failures = [var.user]
}

run "vcpu_that_fargate_does_not_offer" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 3, memory_mb = 2048, timeout_seconds = 1800, max_vcpus = 16 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "memory_that_fargate_does_not_offer_for_the_vcpu" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 1, memory_mb = 2048, timeout_seconds = 1800, max_vcpus = 16 }
      apply = { vcpu = 0.5, memory_mb = 8192, timeout_seconds = 7200, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "memory_between_two_sizes" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 2, memory_mb = 5000, timeout_seconds = 1800, max_vcpus = 16 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "fewer_vcpus_than_one_job_needs" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 4, memory_mb = 8192, timeout_seconds = 1800, max_vcpus = 2 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "plan_that_batch_would_kill_in_the_middle" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 1, memory_mb = 2048, timeout_seconds = 1619, max_vcpus = 16 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "apply_that_batch_would_kill_in_the_middle" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 1, memory_mb = 2048, timeout_seconds = 1800, max_vcpus = 16 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7019, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "two_attempts_longer_than_the_state" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 1, memory_mb = 2048, timeout_seconds = 1801, max_vcpus = 16 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "apply_longer_than_the_state" {
  command = plan

  variables {
    sizes = {
      plan  = { vcpu = 1, memory_mb = 2048, timeout_seconds = 1800, max_vcpus = 16 }
      apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 14101, max_vcpus = 16 }
    }
  }

  expect_failures = [var.sizes]
}

run "environment_that_is_set_already" {
  command = plan

  variables {
    environment = { SLUICEGATE_BUCKET = "another" }
  }

  expect_failures = [var.environment]
}

run "default_sizes_are_accepted" {
  command = plan

  assert {
    condition     = { for kind, size in var.sizes : kind => size.timeout_seconds } == { plan = 1800, apply = 7200 }
    error_message = "The default sizes must fit into the time limits around them."
  }
}
