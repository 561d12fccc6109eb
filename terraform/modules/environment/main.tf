# One environment of one repository: the roles of its plans, applies and deployments, and the job definitions.

locals {
  account = var.installation.account

  # IAM role names are unique in an account, and have at most 64 characters.
  long_names = { for kind in ["plan", "apply", "deploy"] :
    kind => "${var.installation.name}-${kind}-${local.account.region}-${var.repository}-${var.name}"
  }
  role_names = { for kind, name in local.long_names :
    kind => length(name) <= 64 ? name : "${substr(name, 0, 55)}-${substr(sha1(name), 0, 8)}"
  }

  # The policies of the buckets deny a role with these tags everything outside their repository and environment.
  tags = {
    sluicegate-repository  = var.repository
    sluicegate-environment = var.name
  }

  runs_arn    = "${var.installation.artifacts.arn}/runs/${var.repository}/${var.name}/*"
  sources_arn = "${var.installation.artifacts.arn}/sources/${var.repository}/*"
  state_arn   = "${var.installation.state.arn}/${var.repository}/${var.name}"

  kinds = {
    plan  = { role_arn = aws_iam_role.plan.arn }
    apply = { role_arn = aws_iam_role.apply.arn }
  }
}

resource "aws_batch_job_definition" "this" {
  for_each = local.kinds

  name                  = "${var.installation.name}-${var.repository}-${var.name}-${each.key}"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true

  # A job may be submitted with the revision before.
  deregister_on_new_revision = false

  container_properties = jsonencode({
    image                        = var.installation.jobs.image
    command                      = [each.key]
    user                         = var.installation.jobs.user
    jobRoleArn                   = each.value.role_arn
    executionRoleArn             = var.installation.jobs.execution_role_arn
    fargatePlatformConfiguration = { platformVersion = "LATEST" }
    networkConfiguration         = { assignPublicIp = "ENABLED" }
    runtimePlatform = {
      cpuArchitecture       = var.installation.jobs.architecture == "arm64" ? "ARM64" : "X86_64"
      operatingSystemFamily = "LINUX"
    }
    resourceRequirements = [
      { type = "VCPU", value = tostring(var.installation.jobs.sizes[each.key].vcpu) },
      { type = "MEMORY", value = tostring(var.installation.jobs.sizes[each.key].memory_mb) },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = var.installation.jobs.log_group
        "awslogs-region"        = local.account.region
        "awslogs-stream-prefix" = "${var.repository}/${var.name}/${each.key}"
      }
    }
    environment = [for name, value in merge(var.installation.jobs.environment, {
      AWS_REGION             = local.account.region
      SLUICEGATE_BUCKET      = var.installation.artifacts.name
      SLUICEGATE_ENVIRONMENT = var.name
      SLUICEGATE_REPOSITORY  = var.repository
    }) : { name = name, value = value }]
  })

  retry_strategy {
    attempts = var.installation.jobs.attempts[each.key]

    dynamic "evaluate_on_exit" {
      for_each = var.installation.jobs.exits[each.key]

      content {
        action           = evaluate_on_exit.value.action
        on_exit_code     = lookup(evaluate_on_exit.value, "on_exit_code", null)
        on_reason        = lookup(evaluate_on_exit.value, "on_reason", null)
        on_status_reason = lookup(evaluate_on_exit.value, "on_status_reason", null)
      }
    }
  }

  timeout {
    attempt_duration_seconds = var.installation.jobs.sizes[each.key].timeout_seconds
  }
}
