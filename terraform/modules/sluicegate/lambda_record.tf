module "record" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-record"
  description          = "Promotes a commit, writes the audit, releases the lock, closes runs that ended early."
  zip_path             = "${var.artifacts_dir}/record.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["record"].memory_mb
  timeout_seconds      = local.lambda["record"].timeout_seconds
  reserved_concurrency = local.lambda["record"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["record"].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  # The only Lambda that is called asynchronously, by the rule `ended`.
  dead_letter = {
    queue_arn = module.events_lost.arn
    key_arn   = module.key_messages.arn
  }

  environment = merge(local.env_step, {
    SLUICEGATE_AUDIT_BUCKET = module.audit.name
    SLUICEGATE_JOB_QUEUES   = local.job_queues
  })

  policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.need_runs,
      local.need_status,
      local.need_git,
      local.need_answer,
      local.need_batch,
      [
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
        {
          Sid      = "Executions"
          Effect   = "Allow"
          Action   = ["states:DescribeExecution"]
          Resource = local.execution_arns
        },
        {
          # What an execution was started with is encrypted with the state machine's key.
          Sid       = "ExecutionsKey"
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = module.key_data.arn
          Condition = local.via.states
        },
      ],
    )
  })
}
