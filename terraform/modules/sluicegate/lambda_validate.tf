module "validate" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-validate"
  description          = "Claims a run, checks its configuration and seals its source."
  zip_path             = "${var.artifacts_dir}/validate.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["validate"].memory_mb
  timeout_seconds      = local.lambda["validate"].timeout_seconds
  reserved_concurrency = local.lambda["validate"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["validate"].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  environment = merge(local.env_step, { SLUICEGATE_BUCKET = module.artifacts.name })

  policy_json = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.need_runs,
      local.need_status,
      local.need_git,
      local.need_artifacts,
      [
        {
          Sid      = "Sources"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject"]
          Resource = "${module.artifacts.arn}/sources/*"
        },
      ],
    )
  })
}
