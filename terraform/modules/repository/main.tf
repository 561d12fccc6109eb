# Enrols one repository: what it may reach, and the record that the Lambdas read. Changes no Lambda, rule or key.

locals {
  key   = "${var.forge}-${var.id}"
  image = coalesce(var.image_repository, "${var.installation.name}/${lower(var.full_name)}")

  record = {
    schema         = 1
    key            = local.key
    full_name      = var.full_name
    clone_url      = coalesce(var.clone_url, "https://${var.forge}.com/${var.full_name}.git")
    webhook_secret = module.webhook_secret.arn
    image          = module.registry.image
    projects       = module.build.projects
    environments = [for name, environment in var.environments : {
      name              = name
      branches          = environment.branches
      account           = var.installation.account.id
      region            = var.installation.account.region
      approval          = environment.approval
      protect           = environment.protect
      approvers         = environment.approvers
      self_approval     = environment.self_approval
      operators         = environment.operators
      jobs              = module.environment[name].job_definition_arns
      deploy_role       = module.environment[name].role_arns.deploy
      services          = environment.services
      task_roles        = environment.task_role_arns
      required_boundary = environment.require_boundary ? environment.boundary_arn : null
    }]
  }
}

module "registry" {
  source = "../registry"

  name          = local.image
  host          = var.installation.registry_host
  key_arn       = var.installation.key_arns.data
  force_destroy = !var.installation.protect
}

module "webhook_secret" {
  source = "../secret"

  name          = "${var.installation.name}/webhook/${local.key}"
  description   = "Keys of the webhook of ${var.full_name}: {\"current\":\"...\",\"previous\":\"...\"}; previous only during a rotation."
  key_arn       = var.installation.key_arns.secrets
  recovery_days = var.installation.protect ? 30 : 0
}

# The test of a commit, and the build of its image.
module "build" {
  source = "../build"

  account                = var.installation.account
  name                   = "${var.installation.builds.name}-${local.key}"
  architecture           = var.installation.builds.architecture
  environment_image      = var.installation.builds.environment_image
  compute_type           = var.installation.builds.compute_type
  timeout_minutes        = var.installation.builds.timeout_minutes
  queued_timeout_minutes = var.installation.builds.queued_timeout_minutes
  concurrent_build_limit = var.installation.builds.concurrent_build_limit
  state_seconds          = var.installation.builds.state_seconds
  registry_arn           = module.registry.arn
  key_arn                = var.installation.key_arns.data
  log_key_arn            = var.installation.logs.key_arn
  log_retention_days     = var.installation.logs.retention_days

  sources = {
    arn     = "${var.installation.artifacts.arn}/sources/${local.key}/*"
    key_arn = var.installation.artifacts.key_arn
  }
}

module "environment" {
  source   = "../environment"
  for_each = var.environments

  installation      = var.installation
  repository        = local.key
  full_name         = var.full_name
  name              = each.key
  services          = each.value.services
  task_role_arns    = each.value.task_role_arns
  plan_policy_arns  = each.value.plan_policy_arns
  apply_policy_arns = each.value.apply_policy_arns
  boundary_arn      = each.value.boundary_arn
  require_boundary  = each.value.require_boundary
}

# The record that the Lambdas read. None of their roles may write it.
resource "aws_dynamodb_table_item" "enrolment" {
  table_name = var.installation.table_name
  hash_key   = "pk"
  range_key  = "sk"
  item = jsonencode({
    pk      = { S = "REPOSITORY#${local.key}" }
    sk      = { S = "ENROLMENT" }
    gsi_pk  = { S = "REPOSITORIES" }
    gsi_sk  = { S = local.key }
    version = { N = "1" }
    doc     = { S = jsonencode(local.record) }
  })
}
