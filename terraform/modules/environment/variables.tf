variable "installation" {
  description = "The installation: the output `enrolment` of the module `sluicegate`."
  type = object({
    name              = string
    account           = object({ partition = string, id = string, region = string })
    deployer_role_arn = string
    artifacts         = object({ name = string, arn = string, key_arn = string })
    state             = object({ arn = string, key_arn = string })
    jobs = object({
      image              = string
      architecture       = string
      environment        = map(string)
      user               = string
      sizes              = map(object({ vcpu = number, memory_mb = number, timeout_seconds = number }))
      attempts           = map(number)
      exits              = map(list(map(string)))
      execution_role_arn = string
      log_group          = string
    })
    pipeline = object({
      arns        = list(string)
      secret_arns = list(string)
      image_arns  = list(string)
      key_arns    = list(string)
    })
  })
}

variable "repository" {
  description = "Key of the repository, such as github-42."
  type        = string
}

variable "full_name" {
  description = "Full name of the repository, for descriptions."
  type        = string
}

variable "name" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "The name of an environment must have 2 to 24 lower-case letters, digits and hyphens, begin with a letter and not end with a hyphen."
  }
}

variable "services" {
  description = "Services on ECS that deployments may roll out: <cluster>/<service>, with * as wildcard."
  type        = list(string)
}

variable "task_role_arns" {
  description = "Roles of the services' tasks, which a deployment must be able to pass; with * as wildcard."
  type        = list(string)
}

variable "plan_policy_arns" {
  description = "Managed policies of the plan role: what plans may read."
  type        = list(string)

  validation {
    condition     = length(distinct(var.plan_policy_arns)) <= 10
    error_message = "plan_policy_arns may have 10 policies: IAM attaches no more to a role."
  }
}

variable "apply_policy_arns" {
  description = "Managed policies of the apply role: what applies may change."
  type        = list(string)

  validation {
    condition     = length(distinct(var.apply_policy_arns)) <= 10
    error_message = "apply_policy_arns may have 10 policies: IAM attaches no more to a role."
  }
}

variable "boundary_arn" {
  description = "Permissions boundary of the apply role and of the roles that applies create; null for none."
  type        = string
}

variable "require_boundary" {
  description = "Whether every role that an apply creates must have the boundary."
  type        = bool
}
