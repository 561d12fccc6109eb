# One Lambda for each file in steps/. The file says who calls it, how large it is, which environment variables it
# gets (their values are below) and which permissions (their statements are in permissions.tf).

locals {
  # SLUICEGATE_LOG is set for every step.
  variables = {
    SLUICEGATE_AUDIT_BUCKET       = module.audit.name
    SLUICEGATE_BUCKET             = module.artifacts.name
    SLUICEGATE_BUILD_ARCHITECTURE = var.build.architecture
    SLUICEGATE_EVENT_BUS          = var.name
    SLUICEGATE_FORGE_URL          = var.forge_url
    SLUICEGATE_GIT_SECRET_ARN     = module.git_secret.arn
    SLUICEGATE_JOB_QUEUES         = "${module.jobs.queues.plan.name},${module.jobs.queues.apply.name}"
    SLUICEGATE_STATE_BUCKET       = module.state.name
    SLUICEGATE_STATE_MACHINE_ARN  = local.machine_arn
    SLUICEGATE_STATUS_QUEUE_URL   = module.status.url
    SLUICEGATE_TABLE              = module.table.name
  }
}

module "step" {
  source   = "../lambda"
  for_each = local.steps

  account              = local.account
  name                 = "${var.name}-${each.key}"
  description          = each.value.description
  zip_path             = replace(var.lambda_zip, "{step}", each.key)
  code_bucket          = module.artifacts.name
  architecture         = var.architecture
  memory_mb            = local.settings[each.key].memory_mb
  timeout_seconds      = local.settings[each.key].timeout_seconds
  reserved_concurrency = local.settings[each.key].reserved_concurrency
  ephemeral_storage_mb = local.settings[each.key].ephemeral_storage_mb
  key_arn              = module.key_data.arn
  log_key_arn          = module.key_logs.arn
  log_retention_days   = var.retention.log_days

  # EventBridge calls asynchronously: an event that fails for good must be kept.
  dead_letter = contains(each.value.callers, "event-rule") ? {
    queue_arn = module.events_lost.arn
    key_arn   = module.key_messages.arn
  } : null

  environment = merge({ SLUICEGATE_LOG = var.log_level }, {
    for name in each.value.environment : name => local.variables[name]
  })

  policy_json = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([for permission in each.value.permissions : local.permissions[permission]]...)
  })
}
