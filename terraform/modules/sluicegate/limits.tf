# The steps and the time limits around them. The validations in variables.tf read this file, which therefore declares
# no resource: check.sh tests both without a provider.

locals {
  steps = { for file in fileset("${path.module}/steps", "*.json") :
    trimsuffix(file, ".json") => jsondecode(file("${path.module}/steps/${file}"))
  }

  # How long the state machine waits, rendered from its source in crates/core/workflow.
  limits = jsondecode(file("${path.module}/../../../statemachine/limits.json"))

  # Seconds that the state machine waits for each Lambda. Lambda itself ends a call after 900 seconds.
  call_seconds = { for name in keys(local.steps) : name => lookup(local.limits.functions, name, 901) }

  # The defaults of steps/<name>.json, replaced by what var.lambda_settings sets.
  settings = { for name, step in local.steps : name => {
    for setting in ["memory_mb", "timeout_seconds", "reserved_concurrency", "ephemeral_storage_mb"] :
    setting => coalesce(try(var.lambda_settings[name][setting], null), step[setting])
  } }
}
