locals {
  arn = "arn:${var.account.partition}:states:${var.account.region}:${var.account.id}:stateMachine:${var.name}"

  placeholders = merge(
    { for name, arn in var.function_arns : "${name}_arn" => arn },
    {
      plan_queue_arn  = var.queue_arns.plan
      apply_queue_arn = var.queue_arns.apply
    },
  )

  job_arns = "arn:${var.account.partition}:batch:${var.account.region}:${var.account.id}:job/*"

  # `.sync` integrations of Step Functions use these two rules, which Step Functions creates and names.
  sync_rule_arns = [for rule in ["StepFunctionsGetEventsForBatchJobsRule", "StepFunctionsGetEventForCodeBuildStartBuildRule"] :
    "arn:${var.account.partition}:events:${var.account.region}:${var.account.id}:rule/${rule}"
  ]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/vendedlogs/states/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-machine"
  description = "Role of the state machine ${var.name}."
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account.id }
        ArnLike      = { "aws:SourceArn" = local.arn }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "needs"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Decide"
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = values(var.function_arns)
      },
      {
        Sid      = "SubmitJobs"
        Effect   = "Allow"
        Action   = "batch:SubmitJob"
        Resource = concat(values(var.queue_arns), [var.job_definition_arns, local.job_arns])
      },
      {
        # Batch chooses the ids of jobs. A stopped execution stops its jobs.
        Sid      = "StopJobs"
        Effect   = "Allow"
        Action   = "batch:TerminateJob"
        Resource = local.job_arns
      },
      {
        # Batch has no resource types for this call.
        Sid      = "FollowJobs"
        Effect   = "Allow"
        Action   = "batch:DescribeJobs"
        Resource = "*"
      },
      {
        Sid      = "Build"
        Effect   = "Allow"
        Action   = ["codebuild:BatchGetBuilds", "codebuild:StartBuild", "codebuild:StopBuild"]
        Resource = var.build_project_arn
      },
      {
        Sid      = "SyncRules"
        Effect   = "Allow"
        Action   = ["events:DescribeRule", "events:PutRule", "events:PutTargets"]
        Resource = local.sync_rule_arns
      },
      {
        # Log delivery and X-Ray have no resource types.
        Sid    = "LogDelivery"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups",
          "logs:DescribeResourcePolicies",
          "logs:GetLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:UpdateLogDelivery",
        ]
        Resource = "*"
      },
      {
        Sid    = "Trace"
        Effect = "Allow"
        Action = [
          "xray:GetSamplingRules",
          "xray:GetSamplingTargets",
          "xray:PutTelemetryRecords",
          "xray:PutTraceSegments",
        ]
        Resource = "*"
      },
      {
        Sid       = "Key"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = var.key_arn
        Condition = { StringEquals = { "kms:EncryptionContext:aws:states:stateMachineArn" = local.arn } }
      },
    ]
  })
}

resource "aws_sfn_state_machine" "this" {
  #checkov:skip=CKV_AWS_285:Logging is on; the check also requires execution data in the log, which is left out on purpose.
  name       = var.name
  role_arn   = aws_iam_role.this.arn
  type       = "STANDARD"
  definition = templatefile(var.definition_file, local.placeholders)

  logging_configuration {
    level                  = var.log_level
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  encryption_configuration {
    type                              = "CUSTOMER_MANAGED_KMS_KEY"
    kms_key_id                        = var.key_arn
    kms_data_key_reuse_period_seconds = 300
  }

  depends_on = [aws_iam_role_policy.this]
}
