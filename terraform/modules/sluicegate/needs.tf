# Statements that several Lambdas need. Each Lambda's file lists those that it has, and adds its own.

locals {
  via = { for service in ["dynamodb", "s3", "secretsmanager", "sqs", "states"] : service => {
    StringEquals = { "kms:ViaService" = "${service}.${local.account.region}.amazonaws.com" }
  } }

  # Runs and environments, with the list of runs.
  need_runs = [
    {
      Sid       = "Runs"
      Effect    = "Allow"
      Action    = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
      Resource  = [module.table.arn, "${module.table.arn}/index/${module.table.index_name}"]
      Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["RUN#*", "RUNS", "ENV#*", "ENVIRONMENTS"] } }
    },
    {
      Sid       = "RunsKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = module.key_data.arn
      Condition = local.via.dynamodb
    },
  ]

  need_status = [
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

  need_git = [
    {
      Sid      = "Git"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = module.git_secret.arn
    },
    {
      Sid       = "GitKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt"]
      Resource  = module.key_secrets.arn
      Condition = local.via.secretsmanager
    },
  ]

  # Objects of the artifacts bucket. Without the right to list, S3 answers 403, not 404, for an object that does not exist yet.
  need_artifacts = [
    {
      Sid      = "ArtifactsList"
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = module.artifacts.arn
    },
    {
      Sid       = "ArtifactsKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = module.key_data.arn
      Condition = local.via.s3
    },
  ]

  # What jobs are given and what they leave. With need_artifacts.
  need_jobs = [
    {
      Sid      = "Jobs"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject"]
      Resource = "${module.artifacts.arn}/runs/*"
    },
  ]

  # The Batch jobs themselves, when the state machine lost sight of one: whether it still runs, and its end.
  need_batch = [
    {
      # Batch knows no resource for these calls.
      Sid      = "FollowJobs"
      Effect   = "Allow"
      Action   = ["batch:DescribeJobs", "batch:ListJobs"]
      Resource = "*"
    },
    {
      # Jobs are named by Batch, and have no tags that a condition could ask for.
      Sid      = "StopJobs"
      Effect   = "Allow"
      Action   = ["batch:TerminateJob"]
      Resource = "arn:${local.account.partition}:batch:${local.region_account}:job/*"
    },
  ]

  need_answer = [
    {
      # Waiting states are answered by token; the state machine is what the token belongs to.
      Sid      = "Answer"
      Effect   = "Allow"
      Action   = ["states:SendTaskFailure", "states:SendTaskSuccess"]
      Resource = local.machine_arn
    },
    {
      Sid       = "AnswerKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = module.key_data.arn
      Condition = local.via.states
    },
  ]

  # What every Lambda's configuration begins with.
  env_log = { SLUICEGATE_LOG = var.log_level }

  # Steps that report: run record, status queue, commit status.
  env_step = merge(local.env_log, {
    SLUICEGATE_TABLE            = module.table.name
    SLUICEGATE_STATUS_QUEUE_URL = module.status.url
    SLUICEGATE_GIT_SECRET_ARN   = module.git_secret.arn
    SLUICEGATE_REPOSITORIES     = local.enrolled
    SLUICEGATE_FORGE_URL        = var.forge_url
  })

  # What the Lambdas with need_batch get as SLUICEGATE_JOB_QUEUES.
  job_queues = "${module.jobs.queue_names.plan},${module.jobs.queue_names.apply}"

  lambda_defaults = {
    webhook       = { memory_mb = 256, timeout_seconds = 10, reserved_concurrency = 50, ephemeral_storage_mb = 512 }
    validate      = { memory_mb = 2048, timeout_seconds = 180, reserved_concurrency = 10, ephemeral_storage_mb = 4096 }
    plan          = { memory_mb = 512, timeout_seconds = 60, reserved_concurrency = 20, ephemeral_storage_mb = 512 }
    apply         = { memory_mb = 512, timeout_seconds = 60, reserved_concurrency = 20, ephemeral_storage_mb = 512 }
    build-trigger = { memory_mb = 512, timeout_seconds = 60, reserved_concurrency = 10, ephemeral_storage_mb = 512 }
    deploy        = { memory_mb = 512, timeout_seconds = 60, reserved_concurrency = 10, ephemeral_storage_mb = 512 }
    rollback      = { memory_mb = 512, timeout_seconds = 60, reserved_concurrency = 10, ephemeral_storage_mb = 512 }
    record        = { memory_mb = 512, timeout_seconds = 120, reserved_concurrency = 10, ephemeral_storage_mb = 1024 }
  }

  lambda = { for name, defaults in local.lambda_defaults : name => {
    for setting, default in defaults : setting => try(coalesce(var.lambda_settings[name][setting], default), default)
  } }
}
