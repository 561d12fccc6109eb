module "plan" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-plan"
  description          = "Holds the environment lock, names the next wave of stacks, judges plans, asks for approval."
  zip_path             = "${var.artifacts_dir}/plan.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["plan"].memory_mb
  timeout_seconds      = local.lambda["plan"].timeout_seconds
  reserved_concurrency = local.lambda["plan"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["plan"].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  environment = merge(local.env_step, {
    SLUICEGATE_BUCKET       = module.artifacts.name
    SLUICEGATE_STATE_BUCKET = module.state.name
    SLUICEGATE_JOB_QUEUES   = local.job_queues
  })

  policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.need_runs,
      local.need_status,
      local.need_git,
      local.need_artifacts,
      local.need_answer,
      local.need_jobs,
      local.need_batch,
    )
  })
}
