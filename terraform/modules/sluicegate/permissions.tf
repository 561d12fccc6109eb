# What a step may be permitted, by the names that steps/*.json use. A step's role has the statements of its permissions
# and no others, except those for its log, its trace and its dead letters (module lambda).

locals {
  permissions = { for name, grant in local.grants : name => concat(
    [for statement in grant.statements : merge({ Effect = "Allow" }, statement)],
    # A key may be used only through the service that stores the data.
    [for key in try([grant.key], []) : {
      Sid       = "${key.of}Key"
      Effect    = "Allow"
      Action    = [for use in key.uses : "kms:${use}"]
      Resource  = key.arn
      Condition = { StringEquals = { "kms:ViaService" = "${key.service}.${local.account.region}.amazonaws.com" } }
    }],
  ) }

  # The statements of each permission, and the use of the key that encrypts what they allow access to.
  grants = {
    # Items of the table: runs and environments.
    runs = {
      statements = [{
        Sid       = "Runs"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["RUN#*", "ENV#*"] } }
      }]
      key = { of = "Runs", arn = module.key_data.arn, service = "dynamodb", uses = ["Decrypt"] }
    }

    # Items of the table: the last claimed commit of each watched branch. Needs `runs` for the key.
    branches = {
      statements = [{
        Sid       = "Branches"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["BRANCH#*"] } }
      }]
    }

    # The index that lists open runs and environments. Needs `runs` for the key.
    run-lists = {
      statements = [{
        Sid       = "RunLists"
        Action    = ["dynamodb:Query"]
        Resource  = "${module.table.arn}/index/${module.table.index_name}"
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["OPEN-RUNS", "ENVIRONMENTS"] } }
      }]
    }

    # Items of the table: deliveries of the forge.
    deliveries = {
      statements = [{
        Sid       = "Deliveries"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["DELIVERY#*"] } }
      }]
      key = { of = "Deliveries", arn = module.key_data.arn, service = "dynamodb", uses = ["Decrypt"] }
    }

    event-bus = {
      statements = [{
        Sid      = "Bus"
        Action   = ["events:PutEvents"]
        Resource = "arn:${local.account.partition}:events:${local.region_account}:event-bus/${var.name}"
      }]
    }

    # The enrolments, which Terraform writes and no Lambda may write.
    enrolments = {
      statements = [{
        Sid       = "Enrolments"
        Action    = ["dynamodb:GetItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["REPOSITORY#*"] } }
      }]
      key = { of = "Enrolments", arn = module.key_data.arn, service = "dynamodb", uses = ["Decrypt"] }
    }

    # The index that lists enrolled repositories. Needs `enrolments` for the key.
    enrolment-list = {
      statements = [{
        Sid       = "EnrolmentList"
        Action    = ["dynamodb:Query"]
        Resource  = "${module.table.arn}/index/${module.table.index_name}"
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["REPOSITORIES"] } }
      }]
    }

    # The secrets with the keys of the repositories' webhooks.
    webhook-secrets = {
      statements = [{
        Sid      = "WebhookSecrets"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = "arn:${local.account.partition}:secretsmanager:${local.region_account}:secret:${var.name}/webhook/*"
      }]
      key = { of = "WebhookSecrets", arn = module.key_secrets.arn, service = "secretsmanager", uses = ["Decrypt"] }
    }

    # For steps that fetch from the forge, set commit statuses or write the audit branch.
    forge-token = {
      statements = [{
        Sid      = "ForgeToken"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = module.git_secret.arn
      }]
      key = { of = "ForgeToken", arn = module.key_secrets.arn, service = "secretsmanager", uses = ["Decrypt"] }
    }

    status-queue = {
      statements = [{
        Sid      = "Status"
        Action   = ["sqs:SendMessage"]
        Resource = module.status.arn
      }]
      key = { of = "Status", arn = module.key_messages.arn, service = "sqs", uses = ["Decrypt", "GenerateDataKey"] }
    }

    # Sealed sources are written once and read by jobs and builds only.
    sources = {
      statements = [{
        Sid      = "Sources"
        Action   = ["s3:PutObject"]
        Resource = "${module.artifacts.arn}/sources/*"
      }]
      key = { of = "Sources", arn = module.key_data.arn, service = "s3", uses = ["GenerateDataKey"] }
    }

    # The objects of jobs: what they are given and what they leave.
    job-files = {
      statements = concat(local.list_artifacts, [{
        Sid      = "JobFiles"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${module.artifacts.arn}/runs/*"
      }])
      key = { of = "JobFiles", arn = module.key_data.arn, service = "s3", uses = ["Decrypt", "GenerateDataKey"] }
    }

    # The same, to read: the outputs of an apply.
    job-outputs = {
      statements = concat(local.list_artifacts, [{
        Sid      = "JobOutputs"
        Action   = ["s3:GetObject"]
        Resource = "${module.artifacts.arn}/runs/*"
      }])
      key = { of = "JobOutputs", arn = module.key_data.arn, service = "s3", uses = ["Decrypt"] }
    }

    # Whether a job started. A job that none has started is claimed, so that it cannot start any more.
    job-starts = {
      statements = concat(local.list_artifacts, [{
        Sid      = "JobStarts"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${module.artifacts.arn}/runs/*/started.json"
      }])
      key = { of = "JobStarts", arn = module.key_data.arn, service = "s3", uses = ["Decrypt", "GenerateDataKey"] }
    }

    # Items of the table: tests that passed. Needs `runs` for the key.
    passed-tests = {
      statements = [{
        Sid       = "PassedTests"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["TEST#*"] } }
      }]
    }

    # The end of a failed build's log.
    build-log = {
      statements = [{
        Sid      = "BuildLog"
        Action   = ["logs:GetLogEvents"]
        Resource = "arn:${local.account.partition}:logs:${local.region_account}:log-group:/aws/codebuild/${local.build_projects}-*:log-stream:*"
      }]
    }

    # Batch jobs that the state machine no longer waits for: whether one still runs, and its end.
    jobs = {
      statements = [{
        # Batch has no resource types for these calls.
        Sid      = "FollowJobs"
        Action   = ["batch:DescribeJobs", "batch:ListJobs"]
        Resource = "*"
        }, {
        # Batch chooses the ids of jobs, and jobs have no tags for a condition.
        Sid      = "StopJobs"
        Action   = ["batch:TerminateJob"]
        Resource = "arn:${local.account.partition}:batch:${local.region_account}:job/*"
      }]
    }

    # Ends a wait for a task token. A token belongs to the state machine.
    task-tokens = {
      statements = [{
        Sid      = "TaskTokens"
        Action   = ["states:SendTaskFailure", "states:SendTaskSuccess"]
        Resource = local.machine_arn
      }]
      key = { of = "TaskTokens", arn = module.key_data.arn, service = "states", uses = ["Decrypt", "GenerateDataKey"] }
    }

    # Starts executions. Their input is encrypted with the state machine's key.
    execution-starts = {
      statements = [{
        Sid      = "ExecutionStarts"
        Action   = ["states:StartExecution"]
        Resource = local.machine_arn
      }]
      key = { of = "ExecutionStarts", arn = module.key_data.arn, service = "states", uses = ["Decrypt", "GenerateDataKey"] }
    }

    # Executions and their input, which is encrypted with the state machine's key.
    executions = {
      statements = [{
        Sid      = "Executions"
        Action   = ["states:DescribeExecution"]
        Resource = local.execution_arns
      }]
      key = { of = "Executions", arn = module.key_data.arn, service = "states", uses = ["Decrypt"] }
    }

    # The audit's entries, and the item of the table that names the newest. Needs `runs` for the table's key.
    audit = {
      statements = [{
        Sid       = "AuditHead"
        Action    = ["dynamodb:GetItem", "dynamodb:PutItem"]
        Resource  = module.table.arn
        Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["AUDIT#*"] } }
        }, {
        Sid      = "Audit"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "${module.audit.arn}/audit/*"
        }, {
        # Without it S3 answers 403, not 404, for an object that does not exist.
        Sid      = "AuditList"
        Action   = ["s3:ListBucket"]
        Resource = module.audit.arn
      }]
      key = { of = "Audit", arn = module.key_data.arn, service = "s3", uses = ["Decrypt", "GenerateDataKey"] }
    }

    # Finds an image.
    find-images = {
      statements = [{
        Sid      = "FindImages"
        Action   = ["ecr:DescribeImages"]
        Resource = "arn:${local.account.partition}:ecr:${local.region_account}:repository/${var.name}/*"
      }]
    }

    # Finds an image and adds a tag to it.
    images = {
      statements = [{
        Sid      = "Images"
        Action   = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage"]
        Resource = "arn:${local.account.partition}:ecr:${local.region_account}:repository/${var.name}/*"
      }]
    }

    # The roles that roll out the services of an environment. Each role's trust policy names the deploy Lambda.
    deploy-roles = {
      statements = [{
        Sid      = "DeployRoles"
        Action   = ["sts:AssumeRole"]
        Resource = "arn:${local.account.partition}:iam::${local.account.id}:role/${var.name}-deploy-*"
      }]
    }
  }

  # Without it S3 answers 403, not 404, for an object that does not exist.
  list_artifacts = [
    {
      Sid      = "ArtifactsList"
      Action   = ["s3:ListBucket"]
      Resource = module.artifacts.arn
    },
  ]
}
