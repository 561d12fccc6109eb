# The long work and what drives it: events, state machine, jobs, builds, images; and what watches them.

module "registry" {
  source   = "../registry"
  for_each = local.repositories

  name          = each.value.image_repository
  host          = var.registry_host
  key_arn       = module.key_data.arn
  force_destroy = !var.protect
}

module "runner_registry" {
  source = "../registry"

  name          = "${var.name}/runner"
  host          = var.registry_host
  key_arn       = module.key_data.arn
  force_destroy = !var.protect
}

module "network" {
  source = "../network"

  account            = local.account
  name               = var.name
  cidr               = var.network_cidr
  zones              = [for letter in var.zones : "${local.account.region}${letter}"]
  log_key_arn        = module.key_logs.arn
  log_retention_days = var.retention.log_days
}

module "jobs" {
  source = "../jobs"

  account      = local.account
  name         = var.name
  image        = coalesce(var.runner.image, "${module.runner_registry.image}:${var.runner.tag}")
  architecture = var.runner.architecture
  environment  = var.runner.environment
  sizes        = var.job_sizes
  registry_arn = module.runner_registry.arn

  network = {
    subnet_ids        = module.network.subnet_ids
    security_group_id = module.network.security_group_id
  }

  artifacts = {
    name    = module.artifacts.name
    arn     = module.artifacts.arn
    key_arn = module.key_data.arn
  }

  state = {
    arn     = module.state.arn
    key_arn = module.key_state.arn
  }

  repository_ids           = [for repository in var.repositories : repository.id]
  plan_policy_arns         = var.job_policies.plan_arns
  apply_policy_arns        = var.job_policies.apply_arns
  permissions_boundary_arn = var.job_policies.boundary_arn
  secret_arns              = [module.webhook_secret.arn, module.git_secret.arn]
  log_key_arn              = module.key_logs.arn
  log_retention_days       = var.retention.log_days

  pipeline_arns = [
    module.table.arn,
    module.audit.arn,
    "${module.audit.arn}/*",
    "${module.artifacts.arn}/functions/*",
    module.status.arn,
    module.events_lost.arn,
    local.machine_arn,
    local.execution_arns,
    "${local.rule_arn}/${var.name}*",
    "arn:${local.account.partition}:batch:${local.region_account}:*/${var.name}-*",
    "arn:${local.account.partition}:codebuild:${local.region_account}:project/${var.name}-build",
    "arn:${local.account.partition}:iam::${local.account.id}:role/${var.name}-*",
    "arn:${local.account.partition}:lambda:${local.region_account}:function:${var.name}-*",
  ]
}

module "build" {
  source = "../build"

  account            = local.account
  name               = "${var.name}-build"
  architecture       = var.architecture
  environment_image  = var.build.environment_image
  compute_type       = var.build.compute_type
  timeout_minutes    = var.build.timeout_minutes
  registry_arns      = local.image_repository_arns
  key_arn            = module.key_data.arn
  log_key_arn        = module.key_logs.arn
  log_retention_days = var.retention.log_days

  artifacts = {
    arn     = module.artifacts.arn
    key_arn = module.key_data.arn
  }
}

module "state_machine" {
  source = "../state-machine"

  account            = local.account
  name               = "${var.name}-deliver"
  definition_file    = coalesce(var.definition_file, "${path.module}/../../../statemachine/deliver.asl.json")
  jobs               = module.jobs.jobs
  build_project      = module.build.project
  key_arn            = module.key_data.arn
  log_key_arn        = module.key_logs.arn
  log_retention_days = var.retention.log_days

  function_arns = {
    validate      = module.validate.alias_arn
    plan          = module.plan.alias_arn
    apply         = module.apply.alias_arn
    build_trigger = module.build_trigger.alias_arn
    deploy        = module.deploy.alias_arn
    rollback      = module.rollback.alias_arn
    record        = module.record.alias_arn
  }
}

module "events" {
  source = "../events"

  account               = local.account
  name                  = var.name
  state_machine_arn     = module.state_machine.arn
  state_machine_key_arn = module.key_data.arn
  job_queue_arns        = [module.jobs.jobs.plan_queue_arn, module.jobs.jobs.apply_queue_arn]
  dead_letter_arn       = module.events_lost.arn

  repositories = {
    full_names = sort(keys(local.repositories))
    refs       = sort(distinct(flatten([for repository in var.repositories : [for branch in repository.branches : "refs/heads/${branch}"]])))
  }

  ended_function = {
    name      = module.record.function_name
    alias     = module.record.alias_name
    alias_arn = module.record.alias_arn
  }
}

module "alarms" {
  source = "../alarms"

  account           = local.account
  name              = var.name
  topic_arns        = var.alarm_topic_arns
  state_machine_arn = module.state_machine.arn
  table_name        = module.table.name

  functions = {
    webhook = module.webhook.function_name
    record  = module.record.function_name
    all     = [for lambda in local.lambdas : lambda.function_name]
  }

  queues = {
    status        = module.status.name
    status_unread = module.status_unread.name
    events_lost   = module.events_lost.name
  }

  rules = {
    push  = { rule = module.events.rule_names.push, bus = module.events.bus_name }
    ended = { rule = module.events.rule_names.ended }
  }
}
