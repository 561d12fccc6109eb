# How long the state machine waits for whom, as its definition says: whoever is inside must end before.

locals {
  definition_file = coalesce(var.definition_file, "${path.module}/../../../statemachine/deliver.asl.json")

  # States lie in states, at most two deep: Map in Parallel.
  outer_states  = try(jsondecode(file(local.definition_file)).States, {})
  middle_states = [for state in values(local.outer_states) : merge(try(state.ItemProcessor.States, {}), try(merge([for branch in state.Branches : branch.States]...), {}))]
  inner_states  = [for states in local.middle_states : merge([for state in values(states) : try(state.ItemProcessor.States, {})]...)]
  waits = [for state in flatten([for states in concat([local.outer_states], local.middle_states, local.inner_states) : values(states)]) : {
    whom    = try(state.Arguments.FunctionName, state.Arguments.JobDefinition)
    seconds = state.TimeoutSeconds
  } if can(state.TimeoutSeconds) && (can(state.Arguments.FunctionName) || can(state.Arguments.JobDefinition))]

  # Functions that no state calls have Lambda's own limit.
  call_seconds = { for name in keys(local.lambda_defaults) : name => min(901, [
    for wait in local.waits : wait.seconds if wait.whom == format("$${%s_arn}", replace(name, "-", "_"))
  ]...) }

  job_seconds = { for kind in ["plan", "apply"] : kind => min(259200, [
    for wait in local.waits : wait.seconds if wait.whom == "$${${kind}_job_definition_arn}"
  ]...) }
}
