module "apply" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-apply"
  description          = "Consumes a sealed plan record once and judges the result."
  zip_path             = "${var.artifacts_dir}/apply.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["apply"].memory_mb
  timeout_seconds      = local.lambda["apply"].timeout_seconds
  reserved_concurrency = local.lambda["apply"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["apply"].ephemeral_storage_mb
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
      local.need_jobs,
      local.need_batch,
    )
  })
}
