# What the roles of jobs deny, whatever their managed policies allow.

locals {
  # Code of delivered repositories runs in these jobs. The denials protect the pipeline's own resources, whatever the managed
  # policies allow. In the stores that jobs use, everything except that use is denied.
  guard = [
    {
      Sid      = "NotThePipelinesSecrets"
      Effect   = "Deny"
      Action   = "secretsmanager:*"
      Resource = var.installation.pipeline.secret_arns
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
        "sts:*",
      ]
      Resource = var.installation.pipeline.arns
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
      Resource = var.installation.pipeline.image_arns
    },
    {
      Sid      = "NotThePipelinesKeys"
      Effect   = "Deny"
      Action   = "kms:*"
      Resource = var.installation.pipeline.key_arns
    },
    {
      # S3 uses the keys for the jobs, and has no call that changes a key.
      Sid       = "KeysOfStoresThroughS3Only"
      Effect    = "Deny"
      Action    = "kms:*"
      Resource  = [var.installation.artifacts.key_arn, var.installation.state.key_arn]
      Condition = { StringNotEquals = { "kms:ViaService" = "s3.${local.account.region}.amazonaws.com" } }
    },
    {
      Sid       = "BucketsAreListedOnly"
      Effect    = "Deny"
      NotAction = "s3:ListBucket"
      Resource  = [var.installation.artifacts.arn, var.installation.state.arn]
    },
    {
      Sid       = "SourcesAreReadOnly"
      Effect    = "Deny"
      NotAction = "s3:GetObject"
      Resource  = "${var.installation.artifacts.arn}/sources/*"
    },
    {
      Sid       = "RunsAreReadAndWrittenOnly"
      Effect    = "Deny"
      NotAction = local.runs.Action
      Resource  = "${var.installation.artifacts.arn}/runs/*"
    },
  ]

  guard_state = {
    plan = [{
      Sid       = "StatesAreReadOnly"
      Effect    = "Deny"
      NotAction = "s3:GetObject"
      Resource  = "${var.installation.state.arn}/*"
    }]
    apply = [
      {
        Sid       = "StatesAreReadAndWrittenOnly"
        Effect    = "Deny"
        NotAction = ["s3:GetObject", "s3:PutObject"]
        Resource  = "${var.installation.state.arn}/*.tfstate"
      },
      {
        Sid       = "LocksAreTakenAndGivenOnly"
        Effect    = "Deny"
        NotAction = local.lock.Action
        Resource  = "${var.installation.state.arn}/*.tflock"
      },
    ]
  }

  # A change of these policies would change the jobs' own permissions. Reading is allowed: a stack's roles need the boundary.
  own_policy_arns = [for arn in distinct(compact(concat(var.plan_policy_arns, var.apply_policy_arns, [var.boundary_arn]))) :
    arn if !can(regex(":iam::aws:", arn))
  ]
  guard_policies = [for arns in length(local.own_policy_arns) == 0 ? [] : [local.own_policy_arns] : {
    Sid      = "NotTheJobsPolicies"
    Effect   = "Deny"
    Action   = ["iam:Create*", "iam:Delete*", "iam:Set*", "iam:Tag*", "iam:Untag*"]
    Resource = arns
  }]

  # A role without the boundary, or a user, would have none of these denials.
  guard_roles = [for boundary in var.require_boundary && var.boundary_arn != null ? [var.boundary_arn] : [] : {
    Sid       = "RolesHaveTheBoundary"
    Effect    = "Deny"
    Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary"]
    Resource  = "arn:${local.account.partition}:iam::${local.account.id}:role/*"
    Condition = { StringNotEquals = { "iam:PermissionsBoundary" = boundary } }
  }]

  guard_boundary = [for boundary in var.require_boundary && var.boundary_arn != null ? [var.boundary_arn] : [] : {
    Sid    = "BoundariesStay"
    Effect = "Deny"
    Action = ["iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:CreateUser", "iam:DeleteRolePermissionsBoundary"]
    Resource = [
      "arn:${local.account.partition}:iam::${local.account.id}:role/*",
      "arn:${local.account.partition}:iam::${local.account.id}:user/*",
    ]
  }]
}
