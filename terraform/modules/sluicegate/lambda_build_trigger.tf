module "build_trigger" {
  source = "../lambda"

  account              = local.account
  name                 = "${var.name}-build-trigger"
  description          = "Decides whether an image exists, has to be built, or is not wanted."
  zip_path             = "${var.artifacts_dir}/build-trigger.zip"
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.lambda["build-trigger"].memory_mb
  timeout_seconds      = local.lambda["build-trigger"].timeout_seconds
  reserved_concurrency = local.lambda["build-trigger"].reserved_concurrency
  ephemeral_storage_mb = local.lambda["build-trigger"].ephemeral_storage_mb
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
      [
        {
          Sid      = "Images"
          Effect   = "Allow"
          Action   = ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage"]
          Resource = local.image_repository_arns
        },
      ],
    )
  })
}
