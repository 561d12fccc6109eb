# What the jobs of all repositories share. The module `environment` makes the job definitions and their roles.

locals {
  capacity = {
    plan  = "FARGATE_SPOT" # an interrupted plan is retried
    apply = "FARGATE"
  }

  # The first rule that matches applies; without the last one, Batch would retry every other failure too.
  exits = {
    plan = [
      { action = "RETRY", on_exit_code = "143" }, # the runner, stopped by SIGTERM
      { action = "RETRY", on_status_reason = "Your Spot Task was interrupted*" },
      { action = "EXIT", on_reason = "*" },
    ]
    apply = []
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/jobs"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_batch_compute_environment" "this" {
  for_each = local.capacity

  compute_environment_name = "${var.name}-${each.key}"
  type                     = "MANAGED"

  compute_resources {
    type               = each.value
    max_vcpus          = var.sizes[each.key].max_vcpus
    subnets            = var.network.subnet_ids
    security_group_ids = [var.network.security_group_id]
  }
}

resource "aws_batch_job_queue" "this" {
  for_each = local.capacity

  name     = "${var.name}-${each.key}"
  state    = "ENABLED"
  priority = 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this[each.key].arn
  }
}

resource "aws_iam_role" "execution" {
  name        = "${var.name}-jobs-execution"
  description = "Pulls the runner's image and writes its log."
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account.id }
        ArnLike      = { "aws:SourceArn" = "arn:${var.account.partition}:ecs:${var.account.region}:${var.account.id}:*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  name = "needs"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # ECR has no resource types for this call.
        Sid      = "RegistryToken"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = var.registry_arn
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
    ]
  })
}
