locals {
  kinds = {
    plan = {
      capacity = "FARGATE_SPOT" # an interrupted plan is retried
      role_arn = aws_iam_role.plan.arn
      # The first rule that matches applies; without the last one, Batch would retry every other failure too.
      exits = [
        { action = "RETRY", on_exit_code = "143" }, # the runner, stopped by SIGTERM
        { action = "RETRY", on_status_reason = "Your Spot Task was interrupted*" },
        { action = "EXIT", on_reason = "*" },
      ]
    }
    apply = {
      capacity = "FARGATE"
      role_arn = aws_iam_role.apply.arn
      exits    = []
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/jobs"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_batch_compute_environment" "this" {
  for_each = local.kinds

  compute_environment_name = "${var.name}-${each.key}"
  type                     = "MANAGED"

  compute_resources {
    type               = each.value.capacity
    max_vcpus          = var.sizes[each.key].max_vcpus
    subnets            = var.network.subnet_ids
    security_group_ids = [var.network.security_group_id]
  }
}

resource "aws_batch_job_queue" "this" {
  for_each = local.kinds

  name     = "${var.name}-${each.key}"
  state    = "ENABLED"
  priority = 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this[each.key].arn
  }
}

resource "aws_batch_job_definition" "this" {
  for_each = local.kinds

  name                  = "${var.name}-${each.key}"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true

  # Executions submit the revision that they started with.
  deregister_on_new_revision = false

  container_properties = jsonencode({
    image                        = var.image
    command                      = [each.key]
    user                         = var.user
    jobRoleArn                   = each.value.role_arn
    executionRoleArn             = aws_iam_role.execution.arn
    fargatePlatformConfiguration = { platformVersion = "LATEST" }
    networkConfiguration         = { assignPublicIp = "ENABLED" }
    runtimePlatform = {
      cpuArchitecture       = var.architecture == "arm64" ? "ARM64" : "X86_64"
      operatingSystemFamily = "LINUX"
    }
    resourceRequirements = [
      { type = "VCPU", value = tostring(var.sizes[each.key].vcpu) },
      { type = "MEMORY", value = tostring(var.sizes[each.key].memory_mb) },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.account.region
        "awslogs-stream-prefix" = each.key
      }
    }
    environment = [for name, value in merge(var.environment, {
      AWS_REGION        = var.account.region
      SLUICEGATE_BUCKET = var.artifacts.name
    }) : { name = name, value = value }]
  })

  retry_strategy {
    attempts = local.attempts[each.key]

    dynamic "evaluate_on_exit" {
      for_each = each.value.exits

      content {
        action           = evaluate_on_exit.value.action
        on_exit_code     = lookup(evaluate_on_exit.value, "on_exit_code", null)
        on_reason        = lookup(evaluate_on_exit.value, "on_reason", null)
        on_status_reason = lookup(evaluate_on_exit.value, "on_status_reason", null)
      }
    }
  }

  timeout {
    attempt_duration_seconds = var.sizes[each.key].timeout_seconds
  }
}
