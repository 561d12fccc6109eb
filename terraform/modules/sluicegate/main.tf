# Names, keys and stores, which everything else uses.

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  account = {
    partition = data.aws_partition.current.partition
    id        = data.aws_caller_identity.current.account_id
    region    = data.aws_region.current.name
  }

  region_account = "${local.account.region}:${local.account.id}"
  machine_arn    = "arn:${local.account.partition}:states:${local.region_account}:stateMachine:${var.name}-deliver"
  execution_arns = "arn:${local.account.partition}:states:${local.region_account}:execution:${var.name}-deliver:*"
  rule_arn       = "arn:${local.account.partition}:events:${local.region_account}:rule"

  # The module `events` creates the rules; the policy of the queue needs their ARNs before they exist.
  rule_arns = [
    "${local.rule_arn}/${var.name}/${var.name}-push",
    "${local.rule_arn}/${var.name}-ended",
    "${local.rule_arn}/${var.name}-blocked",
  ]
}

# --- Keys, one for each kind of data

module "key_data" {
  source = "../key"

  account              = local.account
  name                 = "${var.name}-data"
  description          = "Table, artifacts, audit, images and execution history of ${var.name}."
  deletion_window_days = var.protect ? 30 : 7
  service_grants = [{
    sid       = "ExecutionLogs"
    service   = "delivery.logs.amazonaws.com"
    actions   = ["kms:Decrypt"]
    condition = { test = "StringEquals", variable = "aws:SourceAccount", values = [local.account.id] }
  }]
}

module "key_state" {
  source = "../key"

  account              = local.account
  name                 = "${var.name}-state"
  description          = "Terraform states of the stacks that ${var.name} delivers."
  deletion_window_days = var.protect ? 30 : 7
}

module "key_secrets" {
  source = "../key"

  account              = local.account
  name                 = "${var.name}-secrets"
  description          = "Secrets of ${var.name}: the webhook's secret and the forge's token."
  deletion_window_days = var.protect ? 30 : 7
}

module "key_messages" {
  source = "../key"

  account              = local.account
  name                 = "${var.name}-messages"
  description          = "Queues of ${var.name}."
  deletion_window_days = var.protect ? 30 : 7
  service_grants = [{
    sid       = "EventRules"
    service   = "events.amazonaws.com"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    condition = { test = "StringEquals", variable = "aws:SourceAccount", values = [local.account.id] }
  }]
}

module "key_logs" {
  source = "../key"

  account              = local.account
  name                 = "${var.name}-logs"
  description          = "Log groups of ${var.name}."
  deletion_window_days = var.protect ? 30 : 7
  service_grants = [{
    sid     = "LogGroups"
    service = "logs.${local.account.region}.amazonaws.com"
    actions = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    condition = {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${local.account.partition}:logs:${local.region_account}:*"]
    }
  }]
}

# --- Stores

module "access_logs" {
  source = "../bucket"

  account              = local.account
  name                 = "${var.name}-access-logs-${local.account.id}-${local.account.region}"
  receives_access_logs = true
  force_destroy        = !var.protect
  expirations          = [{ id = "old", days = 365 }]
  noncurrent_days      = 30
}

module "artifacts" {
  source = "../bucket"

  account         = local.account
  name            = "${var.name}-artifacts-${local.account.id}-${local.account.region}"
  key_arn         = module.key_data.arn
  log_bucket      = module.access_logs.name
  force_destroy   = !var.protect
  noncurrent_days = min(30, var.retention.noncurrent_days)

  # Sources do not expire: an environment may be restored to a commit of any age.
  job_prefixes = {
    objects = ["runs/{repository}/{environment}/*", "sources/{repository}/*"]
    lists   = ["runs/{repository}/{environment}/*", "sources/{repository}/*"]
  }

  expirations = [
    { id = "runs", prefix = "runs/", days = var.retention.run_days },
    { id = "plans", tag = { key = "sluicegate-retention", value = "short" }, days = 7 },
  ]
}

module "audit" {
  source = "../bucket"

  account          = local.account
  name             = "${var.name}-audit-${local.account.id}-${local.account.region}"
  key_arn          = module.key_data.arn
  log_bucket       = module.access_logs.name
  force_destroy    = !var.protect
  noncurrent_days  = max(365, var.retention.noncurrent_days)
  object_lock_days = var.retention.audit_lock_days
}

module "state" {
  source = "../bucket"

  account = local.account
  name    = "${var.name}-state-${local.account.id}-${local.account.region}"
  job_prefixes = {
    objects = ["{repository}/{environment}/*"]
    lists   = ["{repository}/{environment}/*"]
  }
  key_arn         = module.key_state.arn
  log_bucket      = module.access_logs.name
  force_destroy   = !var.protect
  noncurrent_days = var.retention.noncurrent_days
}

module "table" {
  source = "../table"

  name                = var.name
  key_arn             = module.key_data.arn
  deletion_protection = var.protect
}

# --- Queues and secrets

module "status" {
  source = "../queue"

  account     = local.account
  name        = "${var.name}-status"
  fifo        = true
  key_arn     = module.key_messages.arn
  dead_letter = { arn = module.status_unread.arn }
}

module "status_unread" {
  source = "../queue"

  account         = local.account
  name            = "${var.name}-status-unread"
  fifo            = true
  key_arn         = module.key_messages.arn
  dead_letter_for = ["${var.name}-status"]
}

module "events_lost" {
  source = "../queue"

  account         = local.account
  name            = "${var.name}-events-lost"
  key_arn         = module.key_messages.arn
  event_rule_arns = local.rule_arns
}

module "git_secret" {
  source = "../secret"

  name          = "${var.name}/git"
  description   = "The forge's token, for cloning, statuses and the audit branch: {\"token\":\"...\"}."
  key_arn       = module.key_secrets.arn
  recovery_days = var.protect ? 30 : 0
}
