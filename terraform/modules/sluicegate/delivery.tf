# Events, state machine, jobs, builds and images, and the alarms for them.

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

  state_seconds     = local.limits.jobs
  terraform_seconds = local.limits.terraform

  network = {
    subnet_ids        = module.network.subnet_ids
    security_group_id = module.network.security_group_id
  }

  log_key_arn        = module.key_logs.arn
  log_retention_days = var.retention.log_days
}

locals {
  # The names of the builds' projects continue with a repository's key and the kind, such as -github-42-test.
  build_projects = "${var.name}-build"

  # By name pattern where possible: a role's inline policies are limited to 10240 characters.
  pipeline_arns = concat(
    [
      module.table.arn,
      "${module.table.arn}/*",
      module.audit.arn,
      "${module.audit.arn}/*",
      module.access_logs.arn,
      "${module.access_logs.arn}/*",
      "${module.artifacts.arn}/functions/*",
      "arn:${local.account.partition}:iam::${local.account.id}:role/${var.name}-*",
      "arn:${local.account.partition}:cloudwatch::${local.account.id}:dashboard/${var.name}",
    ],
    [for resource in [
      "batch:{}:*/${var.name}-*",
      "batch:{}:job/*", # Batch chooses the ids; one job must not stop another
      "cloudformation:{}:stack/${var.name}-*",
      "cloudwatch:{}:alarm:${var.name}-*",
      "codebuild:{}:*/${var.name}-build*",
      "ecs:{}:*/AWSBatch-${var.name}-*", # the clusters in which Batch starts jobs
      "ecs:{}:*/${var.name}-*_Batch_*",
      "events:{}:event-bus/${var.name}",
      "events:{}:rule/${var.name}*",
      "events:{}:rule/StepFunctionsGetEvent*", # these notify the state machine of the end of a job
      "lambda:{}:function:${var.name}-*",
      "logs:{}:log-group:/${var.name}/*",
      "logs:{}:log-group:/aws/codebuild/${var.name}-*",
      "logs:{}:log-group:/aws/lambda/${var.name}-*",
      "logs:{}:log-group:/aws/vendedlogs/states/${var.name}-*",
      "sqs:{}:${var.name}-*",
      "states:{}:*:${var.name}-deliver*",
    ] : "arn:${local.account.partition}:${replace(resource, "{}", local.region_account)}"],
  )

  # What the module `repository` needs of the installation.
  enrolment = {
    name              = var.name
    account           = local.account
    protect           = var.protect
    table_name        = module.table.name
    registry_host     = var.registry_host
    deployer_role_arn = module.step["deploy"].role_arn
    key_arns          = { data = module.key_data.arn, secrets = module.key_secrets.arn }
    artifacts         = { name = module.artifacts.name, arn = module.artifacts.arn, key_arn = module.key_data.arn }
    state             = { arn = module.state.arn, key_arn = module.key_state.arn }
    jobs              = module.jobs.definitions
    builds            = merge(var.build, { name = local.build_projects, state_seconds = local.limits.build })
    logs              = { key_arn = module.key_logs.arn, retention_days = var.retention.log_days }

    # What no job may reach, whatever its managed policies allow.
    pipeline = {
      arns        = concat(local.pipeline_arns, module.network.arns)
      secret_arns = ["arn:${local.account.partition}:secretsmanager:${local.region_account}:secret:${var.name}/*"]
      image_arns  = ["arn:${local.account.partition}:ecr:${local.region_account}:repository/${var.name}/*"]
      key_arns = [
        module.key_secrets.arn,
        module.key_messages.arn,
        module.key_logs.arn,
        "arn:${local.account.partition}:kms:${local.region_account}:alias/${var.name}-*",
      ]
    }
  }
}

module "state_machine" {
  source = "../state-machine"

  account             = local.account
  name                = "${var.name}-deliver"
  definition_file     = "${path.module}/../../../statemachine/deliver.asl.json"
  queue_arns          = { for kind, queue in module.jobs.queues : kind => queue.arn }
  job_definition_arns = "arn:${local.account.partition}:batch:${local.region_account}:job-definition/${var.name}-*"
  build_project_arn   = "arn:${local.account.partition}:codebuild:${local.region_account}:project/${local.build_projects}-*"
  key_arn             = module.key_data.arn
  log_key_arn         = module.key_logs.arn
  log_retention_days  = var.retention.log_days

  function_arns = { for name, step in local.steps : replace(name, "-", "_") => module.step[name].alias_arn
    if contains(step.callers, "state-machine")
  }
}

module "events" {
  source = "../events"

  account           = local.account
  name              = var.name
  state_machine_arn = module.state_machine.arn
  job_queue_arns    = [for queue in module.jobs.queues : queue.arn]
  dead_letter_arn   = module.events_lost.arn

  start_function = {
    name      = module.step["start"].function_name
    alias     = module.step["start"].alias_name
    alias_arn = module.step["start"].alias_arn
  }

  ended_function = {
    name      = module.step["record"].function_name
    alias     = module.step["record"].alias_name
    alias_arn = module.step["record"].alias_arn
  }

  reconcile_function = {
    name      = module.step["reconcile"].function_name
    alias     = module.step["reconcile"].alias_name
    alias_arn = module.step["reconcile"].alias_arn
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
    webhook   = module.step["webhook"].function_name
    record    = module.step["record"].function_name
    reconcile = module.step["reconcile"].function_name
    all       = [for step in module.step : step.function_name]
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
