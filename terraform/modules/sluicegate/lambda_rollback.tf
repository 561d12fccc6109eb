module "rollback" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-rollback"
  description          = "Works out what has to be restored after an error, and whether that may be done."
  zip_path             = "${var.artifacts_dir}/rollback.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["rollback"].memory_mb
  timeout_seconds      = local.lambda["rollback"].timeout_seconds
  reserved_concurrency = local.lambda["rollback"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["rollback"].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  environment = local.env_step

  policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.need_runs, local.need_status, local.need_git)
  })
}
