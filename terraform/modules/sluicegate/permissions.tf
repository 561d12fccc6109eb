# What a step may be permitted, by the names that steps.json uses. A step's role has the statements of its permissions
# and no others, except those for its log, its trace and its dead letters (module lambda).

locals {
  # A key may be used only through the service that stores the data.
  via = { for service in ["dynamodb", "s3", "secretsmanager", "sqs", "states"] : service => {
    StringEquals = { "kms:ViaService" = "${service}.${local.account.region}.amazonaws.com" }
  } }

  permissions = {
    # Items of the table: runs and environments.
    runs = [
      {
        Sid       = "Runs"
        Effect    = "Allow"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["RUN#*", "ENV#*"] } }
      },
      {
        Sid       = "RunsKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_data.arn
        Condition = local.via.dynamodb
      },
    ]

    # The index that lists runs and environments. Needs `runs` for the key.
    run-lists = [
      {
        Sid       = "RunLists"
        Effect    = "Allow"
        Action    = ["dynamodb:Query"]
        Resource  = "${module.table.arn}/index/${module.table.index_name}"
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["RUNS", "ENVIRONMENTS"] } }
      },
    ]

    # Items of the table: deliveries of the forge.
    deliveries = [
      {
        Sid       = "Deliveries"
        Effect    = "Allow"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["DELIVERY#*"] } }
      },
      {
        Sid       = "DeliveriesKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_data.arn
        Condition = local.via.dynamodb
      },
    ]

    event-bus = [
      {
        Sid      = "Bus"
        Effect   = "Allow"
        Action   = ["events:PutEvents"]
        Resource = "arn:${local.account.partition}:events:${local.region_account}:event-bus/${var.name}"
      },
    ]

    webhook-secret = [
      {
        Sid      = "WebhookSecret"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = module.webhook_secret.arn
      },
      {
        Sid       = "WebhookSecretKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_secrets.arn
        Condition = local.via.secretsmanager
      },
    ]

    # For steps that fetch from the forge, set commit statuses or write the audit branch.
    forge-token = [
      {
        Sid      = "ForgeToken"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = module.git_secret.arn
      },
      {
        Sid       = "ForgeTokenKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_secrets.arn
        Condition = local.via.secretsmanager
      },
    ]

    status-queue = [
      {
        Sid      = "Status"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = module.status.arn
      },
      {
        Sid       = "StatusKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = module.key_messages.arn
        Condition = local.via.sqs
      },
    ]

    # Sealed sources are written once and read by jobs and builds only.
    sources = [
      {
        Sid      = "Sources"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = "${module.artifacts.arn}/sources/*"
      },
      {
        Sid       = "SourcesKey"
        Effect    = "Allow"
        Action    = ["kms:GenerateDataKey"]
        Resource  = module.key_data.arn
        Condition = local.via.s3
      },
    ]

    # The objects of jobs: what they are given and what they leave.
    job-files = concat(local.list_artifacts, [
      {
        Sid      = "JobFiles"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${module.artifacts.arn}/runs/*"
      },
      {
        Sid       = "JobFilesKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = module.key_data.arn
        Condition = local.via.s3
      },
    ])

    # The same, to read: the outputs of an apply.
    job-outputs = concat(local.list_artifacts, [
      {
        Sid      = "JobOutputs"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = "${module.artifacts.arn}/runs/*"
      },
      {
        Sid       = "JobOutputsKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_data.arn
        Condition = local.via.s3
      },
    ])

    # Batch jobs that the state machine lost track of: whether one still runs, and its end.
    jobs = [
      {
        # Batch has no resource types for these calls.
        Sid      = "FollowJobs"
        Effect   = "Allow"
        Action   = ["batch:DescribeJobs", "batch:ListJobs"]
        Resource = "*"
      },
      {
        # Batch chooses the ids of jobs, and jobs have no tags for a condition.
        Sid      = "StopJobs"
        Effect   = "Allow"
        Action   = ["batch:TerminateJob"]
        Resource = "arn:${local.account.partition}:batch:${local.region_account}:job/*"
      },
    ]

    # Ends a wait for a task token. A token belongs to the state machine.
    task-tokens = [
      {
        Sid      = "TaskTokens"
        Effect   = "Allow"
        Action   = ["states:SendTaskFailure", "states:SendTaskSuccess"]
        Resource = local.machine_arn
      },
      {
        Sid       = "TaskTokensKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = module.key_data.arn
        Condition = local.via.states
      },
    ]

    # Executions and their input, which is encrypted with the state machine's key.
    executions = [
      {
        Sid      = "Executions"
        Effect   = "Allow"
        Action   = ["states:DescribeExecution"]
        Resource = local.execution_arns
      },
      {
        Sid       = "ExecutionsKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = module.key_data.arn
        Condition = local.via.states
      },
    ]

    # The audit's entries, and the item of the table that names the newest. Needs `runs` for the table's key.
    audit = [
      {
        Sid       = "AuditHead"
        Effect    = "Allow"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["AUDIT#*"] } }
      },
      {
        Sid      = "Audit"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${module.audit.arn}/audit/*"
      },
      {
        # Without it S3 answers 403, not 404, for an object that does not exist.
        Sid      = "AuditList"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = module.audit.arn
      },
      {
        Sid       = "AuditKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = module.key_data.arn
        Condition = local.via.s3
      },
    ]

    # Finds an image and adds a tag to it.
    images = [
      {
        Sid      = "Images"
        Effect   = "Allow"
        Action   = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage"]
        Resource = [for registry in module.registry : registry.arn]
      },
    ]

    # Rolls out the services of the enrolled repositories on ECS.
    services = concat(
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
          Action    = ["ecs:TagResource"]
          Resource  = "arn:${local.account.partition}:ecs:${local.region_account}:task-definition/*"
          Condition = { StringEquals = { "ecs:CreateAction" = "RegisterTaskDefinition" } }
        },
      ],
      local.roll_out,
      local.pass_task_roles,
    )
  }

  # Without it S3 answers 403, not 404, for an object that does not exist.
  list_artifacts = [
    {
      Sid      = "ArtifactsList"
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = module.artifacts.arn
    },
  ]

  services       = distinct(flatten([for repository in var.repositories : repository.services]))
  task_role_arns = distinct(flatten([for repository in var.repositories : repository.task_role_arns]))

  # IAM refuses a statement without a resource.
  roll_out = [for services in length(local.services) == 0 ? [] : [local.services] : {
    Sid      = "Services"
    Effect   = "Allow"
    Action   = ["ecs:DescribeServices", "ecs:UpdateService"]
    Resource = [for service in services : "arn:${local.account.partition}:ecs:${local.region_account}:service/${service}"]
  }]

  # A task definition names its roles; only these may be passed, and only to ECS tasks.
  pass_task_roles = [for arns in length(local.task_role_arns) == 0 ? [] : [local.task_role_arns] : {
    Sid       = "PassTaskRoles"
    Effect    = "Allow"
    Action    = ["iam:PassRole"]
    Resource  = arns
    Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
  }]
}
