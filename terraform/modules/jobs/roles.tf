# Three roles: the execution role starts the container, the plan role reads, the apply role changes resources.

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

  states = [for key in var.repository_keys : "${var.state.arn}/${key}/*.tfstate"]
  locks  = [for key in var.repository_keys : "${var.state.arn}/${key}/*.tflock"]

  sources = {
    Sid      = "Sources"
    Effect   = "Allow"
    Action   = "s3:GetObject"
    Resource = "${var.artifacts.arn}/sources/*"
  }

  # Plans, and states that could not be written, are tagged, so that they expire after a few days.
  runs = {
    Sid      = "Runs"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"]
    Resource = "${var.artifacts.arn}/runs/*"
  }

  # Without it S3 answers 403 instead of 404 for an object that does not exist.
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

  # Code of delivered repositories runs in these jobs. The denials protect the pipeline's own resources, whatever the managed
  # policies allow. In the stores that jobs use, everything except that use is denied.
  guard = [
    {
      Sid      = "NotThePipelinesSecrets"
      Effect   = "Deny"
      Action   = "secretsmanager:*"
      Resource = var.pipeline.secret_arns
    },
    {
      Sid    = "NotThePipeline"
      Effect = "Deny"
      Action = [
        "batch:*",
        "cloudformation:*",
        "cloudwatch:*",
        "codebuild:*",
        "dynamodb:*",
        "ec2:*",
        "ecs:*",
        "events:*",
        "iam:*",
        "lambda:*",
        "logs:*",
        "s3:*",
        "sqs:*",
        "states:*",
      ]
      Resource = var.pipeline.arns
    },
    {
      Sid    = "NotThePipelinesImages"
      Effect = "Deny"
      Action = [
        "ecr:BatchDelete*",
        "ecr:BatchImport*",
        "ecr:Complete*",
        "ecr:Create*",
        "ecr:Delete*",
        "ecr:Initiate*",
        "ecr:Put*",
        "ecr:Replicate*",
        "ecr:Set*",
        "ecr:Start*",
        "ecr:Tag*",
        "ecr:Untag*",
        "ecr:Update*",
        "ecr:Upload*",
      ]
      Resource = var.pipeline.image_arns
    },
    {
      Sid      = "NotThePipelinesKeys"
      Effect   = "Deny"
      Action   = "kms:*"
      Resource = var.pipeline.key_arns
    },
    {
      # S3 uses the keys for the jobs, and has no call that changes a key.
      Sid       = "KeysOfStoresThroughS3Only"
      Effect    = "Deny"
      Action    = "kms:*"
      Resource  = [var.artifacts.key_arn, var.state.key_arn]
      Condition = { StringNotEquals = { "kms:ViaService" = "s3.${var.account.region}.amazonaws.com" } }
    },
    {
      Sid       = "BucketsAreListedOnly"
      Effect    = "Deny"
      NotAction = "s3:ListBucket"
      Resource  = [var.artifacts.arn, var.state.arn]
    },
    {
      Sid       = "SourcesAreReadOnly"
      Effect    = "Deny"
      NotAction = "s3:GetObject"
      Resource  = "${var.artifacts.arn}/sources/*"
    },
    {
      Sid       = "RunsAreReadAndWrittenOnly"
      Effect    = "Deny"
      NotAction = local.runs.Action
      Resource  = "${var.artifacts.arn}/runs/*"
    },
  ]

  guard_state = {
    plan = [{
      Sid       = "StatesAreReadOnly"
      Effect    = "Deny"
      NotAction = "s3:GetObject"
      Resource  = "${var.state.arn}/*"
    }]
    apply = [
      {
        Sid       = "StatesAreReadAndWrittenOnly"
        Effect    = "Deny"
        NotAction = ["s3:GetObject", "s3:PutObject"]
        Resource  = "${var.state.arn}/*.tfstate"
      },
      {
        Sid       = "LocksAreTakenAndGivenOnly"
        Effect    = "Deny"
        NotAction = local.lock.Action
        Resource  = "${var.state.arn}/*.tflock"
      },
    ]
  }

  # A change of these policies would change the jobs' own permissions. Reading is allowed: a stack's roles need the boundary.
  own_policy_arns = [for arn in distinct(compact(concat(var.plan_policy_arns, var.apply_policy_arns, [var.permissions_boundary_arn]))) :
    arn if !can(regex(":iam::aws:", arn))
  ]
  guard_policies = [for arns in length(local.own_policy_arns) == 0 ? [] : [local.own_policy_arns] : {
    Sid      = "NotTheJobsPolicies"
    Effect   = "Deny"
    Action   = ["iam:Create*", "iam:Delete*", "iam:Set*", "iam:Tag*", "iam:Untag*"]
    Resource = arns
  }]
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-jobs-execution"
  description        = "Pulls the runner's image and writes its log."
  assume_role_policy = local.task_trust
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

resource "aws_iam_role" "plan" {
  name               = "${var.name}-jobs-plan"
  description        = "Role of plans: reads the account and the states."
  assume_role_policy = local.task_trust
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
        local.list,
        {
          Sid      = "State"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = local.states
        },
        local.keys,
      ],
      local.guard,
      local.guard_state.plan,
      local.guard_policies,
    )
  })
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = toset(var.plan_policy_arns)

  role       = aws_iam_role.plan.name
  policy_arn = each.value
}

resource "aws_iam_role" "apply" {
  name                 = "${var.name}-jobs-apply"
  description          = "Role of applies: changes the account within its managed policies and its boundary."
  assume_role_policy   = local.task_trust
  permissions_boundary = var.permissions_boundary_arn
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
        local.list,
        {
          Sid      = "State"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject"]
          Resource = local.states
        },
        local.lock,
        local.keys,
      ],
      local.guard,
      local.guard_state.apply,
      local.guard_policies,
    )
  })
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = toset(var.apply_policy_arns)

  role       = aws_iam_role.apply.name
  policy_arn = each.value
}
