# The plan role reads, the apply role changes resources. Both reach the objects of their repository and environment only.

locals {
  task_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account.id }
        ArnLike      = { "aws:SourceArn" = "arn:${local.account.partition}:ecs:${local.account.region}:${local.account.id}:*" }
      }
    }]
  })

  sources = {
    Sid      = "Sources"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = local.sources_arn
  }

  # Plans, and states that could not be written, are tagged, so that they expire after a few days.
  runs = {
    Sid      = "Runs"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"]
    Resource = local.runs_arn
  }

  # Without it S3 answers 403 instead of 404 for an object that does not exist.
  list = [
    {
      Sid       = "ListRuns"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = var.installation.artifacts.arn
      Condition = { StringLike = { "s3:prefix" = ["runs/${var.repository}/${var.name}/*", "sources/${var.repository}/*"] } }
    },
    {
      Sid       = "ListStates"
      Effect    = "Allow"
      Action    = "s3:ListBucket"
      Resource  = var.installation.state.arn
      Condition = { StringLike = { "s3:prefix" = ["${var.repository}/${var.name}/*"] } }
    },
  ]

  lock = {
    Sid      = "Lock"
    Effect   = "Allow"
    Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    Resource = "${local.state_arn}/*.tflock"
  }

  keys = {
    Sid       = "Keys"
    Effect    = "Allow"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource  = [var.installation.artifacts.key_arn, var.installation.state.key_arn]
    Condition = { StringEquals = { "kms:ViaService" = "s3.${local.account.region}.amazonaws.com" } }
  }
}

resource "aws_iam_role" "plan" {
  name               = local.role_names.plan
  description        = "Plans of ${var.full_name} for ${var.name}: reads the account and the states."
  assume_role_policy = local.task_trust
  tags               = local.tags
}

resource "aws_iam_role_policy" "plan" {
  name = "needs"
  role = aws_iam_role.plan.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        local.sources,
        local.runs,
        {
          Sid      = "State"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = "${local.state_arn}/*.tfstate"
        },
        local.keys,
      ],
      local.list,
      local.guard,
      local.guard_state.plan,
      local.guard_policies,
      local.guard_roles,
      local.guard_boundary,
    )
  })
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = toset(var.plan_policy_arns)

  role       = aws_iam_role.plan.name
  policy_arn = each.value
}

resource "aws_iam_role" "apply" {
  name                 = local.role_names.apply
  description          = "Applies of ${var.full_name} for ${var.name}: changes the account within its managed policies and its boundary."
  assume_role_policy   = local.task_trust
  permissions_boundary = var.boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "apply" {
  name = "needs"
  role = aws_iam_role.apply.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        local.sources,
        local.runs,
        {
          Sid      = "State"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject"]
          Resource = "${local.state_arn}/*.tfstate"
        },
        local.lock,
        local.keys,
      ],
      local.list,
      local.guard,
      local.guard_state.apply,
      local.guard_policies,
      local.guard_roles,
      local.guard_boundary,
    )
  })
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = toset(var.apply_policy_arns)

  role       = aws_iam_role.apply.name
  policy_arn = each.value
}

# The deploy Lambda assumes this role for the environment of the run.
resource "aws_iam_role" "deploy" {
  name        = local.role_names.deploy
  description = "Deployments of ${var.full_name} to ${var.name}: rolls out its services."
  tags        = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.installation.deployer_role_arn }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "deploy" {
  name = "needs"
  role = aws_iam_role.deploy.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # ECS has no resource types for calls about task definitions.
          Sid      = "TaskDefinitions"
          Effect   = "Allow"
          Action   = ["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"]
          Resource = "*"
        },
        {
          # A copied revision keeps the tags of the one that Terraform created.
          Sid       = "TaskDefinitionTags"
          Effect    = "Allow"
          Action    = "ecs:TagResource"
          Resource  = "arn:${local.account.partition}:ecs:${local.account.region}:${local.account.id}:task-definition/*"
          Condition = { StringEquals = { "ecs:CreateAction" = "RegisterTaskDefinition" } }
        },
      ],
      # IAM refuses a statement without a resource.
      [for services in length(var.services) == 0 ? [] : [var.services] : {
        Sid      = "Services"
        Effect   = "Allow"
        Action   = ["ecs:DescribeServices", "ecs:UpdateService"]
        Resource = [for service in services : "arn:${local.account.partition}:ecs:${local.account.region}:${local.account.id}:service/${service}"]
      }],
      # A task definition names its roles; only these may be passed, and only to ECS tasks.
      [for arns in length(var.task_role_arns) == 0 ? [] : [var.task_role_arns] : {
        Sid       = "PassTaskRoles"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = arns
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      }],
    )
  })
}
