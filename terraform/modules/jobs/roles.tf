# Three roles: the execution role starts the container, the plan role reads, the apply role changes.

locals {
  task_trust = jsonencode({
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

  states = [for id in var.repository_ids : "${var.state.arn}/${id}/*.tfstate"]
  locks  = [for id in var.repository_ids : "${var.state.arn}/${id}/*.tflock"]

  sources = {
    Sid      = "Sources"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = "${var.artifacts.arn}/sources/*"
  }

  runs = {
    Sid      = "Runs"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"]
    Resource = "${var.artifacts.arn}/runs/*"
  }

  # Without it S3 answers 403, not 404, for an object that does not exist yet.
  list = {
    Sid      = "List"
    Effect   = "Allow"
    Action   = "s3:ListBucket"
    Resource = [var.artifacts.arn, var.state.arn]
  }

  lock = {
    Sid      = "Lock"
    Effect   = "Allow"
    Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    Resource = local.locks
  }

  keys = {
    Sid       = "Keys"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = [var.artifacts.key_arn, var.state.key_arn]
    Condition = { StringEquals = { "kms:ViaService" = "s3.${var.account.region}.amazonaws.com" } }
  }

  # Code of a delivered repository runs in these jobs: the pipeline itself stays out of its reach.
  guard_secrets = {
    Sid      = "NotThePipelinesSecrets"
    Effect   = "Deny"
    Action   = "secretsmanager:*"
    Resource = var.secret_arns
  }

  guard_pipeline = {
    Sid    = "NotThePipeline"
    Effect = "Deny"
    Action = [
      "batch:*",
      "codebuild:*",
      "dynamodb:*",
      "events:*",
      "iam:*",
      "lambda:*",
      "s3:*",
      "sqs:*",
      "states:*",
    ]
    Resource = var.pipeline_arns
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-jobs-execution"
  description        = "Pulls the runner's image and opens its log."
  assume_role_policy = local.task_trust
}

resource "aws_iam_role_policy" "execution" {
  name = "needs"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # ECR knows no resource for this call.
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

resource "aws_iam_role" "plan" {
  name               = "${var.name}-jobs-plan"
  description        = "Plans: reads the account and the states, and writes neither."
  assume_role_policy = local.task_trust
}

resource "aws_iam_role_policy" "plan" {
  name = "needs"
  role = aws_iam_role.plan.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.sources,
      local.runs,
      local.list,
      {
        Sid      = "State"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = local.states
      },
      local.keys,
      local.guard_secrets,
      local.guard_pipeline,
    ]
  })
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = toset(var.plan_policy_arns)

  role       = aws_iam_role.plan.name
  policy_arn = each.value
}

resource "aws_iam_role" "apply" {
  name                 = "${var.name}-jobs-apply"
  description          = "Applies: changes the account within its managed policies and its boundary."
  assume_role_policy   = local.task_trust
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "apply" {
  name = "needs"
  role = aws_iam_role.apply.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.sources,
      local.runs,
      local.list,
      {
        Sid      = "State"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = local.states
      },
      local.lock,
      local.keys,
      local.guard_secrets,
      local.guard_pipeline,
    ]
  })
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = toset(var.apply_policy_arns)

  role       = aws_iam_role.apply.name
  policy_arn = each.value
}
