variable "installation" {
  description = "The installation: the output `enrolment` of the module `sluicegate`."
  type = object({
    name              = string
    account           = object({ partition = string, id = string, region = string })
    protect           = bool
    table_name        = string
    registry_host     = string
    deployer_role_arn = string
    key_arns          = object({ data = string, secrets = string })
    artifacts         = object({ name = string, arn = string, key_arn = string })
    state             = object({ arn = string, key_arn = string })
    builds = object({
      name                   = string
      architecture           = string
      environment_image      = string
      compute_type           = string
      timeout_minutes        = number
      queued_timeout_minutes = number
      concurrent_build_limit = number
      state_seconds          = number
    })
    logs = object({ key_arn = string, retention_days = number })
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

variable "forge" {
  description = "Where the repository is: github; gitlab is reserved and receives no events yet."
  type        = string
  default     = "github"

  validation {
    condition     = contains(["github", "gitlab"], var.forge)
    error_message = "forge must be github or gitlab."
  }
}

variable "id" {
  description = "Number of the repository in the forge (`gh api repos/<full_name> --jq .id`). A rename does not change it."
  type        = number

  validation {
    condition     = var.id > 0 && floor(var.id) == var.id
    error_message = "id must be the number of the repository in the forge (`gh api repos/<full_name> --jq .id`). It is part of the path of the states, and a rename does not change it."
  }
}

variable "full_name" {
  description = "Full name in the forge: <owner>/<repository>, or with the groups of a subgroup."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){1,19}$", var.full_name)) && length(var.full_name) <= 255
    error_message = "full_name must be <owner>/<repository>, such as acme/shop, or have the groups of a subgroup, such as acme/platform/shop: 2 to 20 names and at most 255 characters."
  }

  validation {
    condition     = !anytrue([for part in split("/", "${var.full_name}/${coalesce(var.clone_url, "-")}") : contains([".", ".."], part)])
    error_message = "full_name and clone_url must not contain . or .. as a name: as part of a path, they name another folder."
  }

  validation {
    condition     = var.forge != "github" || length(split("/", var.full_name)) == 2
    error_message = "full_name of a repository on GitHub must be <owner>/<repository>: GitHub has no subgroups."
  }
}

variable "clone_url" {
  description = "URL to clone from; null for https://<forge>.com/<full_name>.git."
  type        = string
  default     = null

  validation {
    condition     = var.clone_url == null || can(regex("^(https?|file)://", var.clone_url))
    error_message = "clone_url must start with https:// (in the local run also http:// or file://): the token is sent over HTTP only."
  }
}

variable "image_repository" {
  description = "ECR repository of the image, below <installation>/; null for <installation>/<full_name>."
  type        = string
  default     = null

  # Module registry checks it too, but its error does not name the entry.
  validation {
    condition     = can(regex("^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$", coalesce(var.image_repository, "default")))
    error_message = "image_repository must have lower-case letters and digits, separated by single . _ - or /."
  }

  validation {
    condition     = var.image_repository == null || (startswith(coalesce(var.image_repository, "-"), "${var.installation.name}/") && var.image_repository != "${var.installation.name}/runner")
    error_message = "image_repository must begin with ${var.installation.name}/, which the Lambdas may reach, and must not be ${var.installation.name}/runner."
  }
}

variable "environments" {
  description = <<-EOT
    The environments, by name: branches, whose pushes are delivered to it; approval, when a plan needs one at least (never,
    on-destroy, always); protect, types or addresses of resources whose deletion needs an approval; approvers and operators, each
    with principal (ARN of an IAM role or user), session (the role's session name, if the trust policy of the role fixes it) and login
    (at the forge); self_approval, whether the pusher and approvers without login may approve (refused, allowed); services on ECS
    that deployments roll out (<cluster>/<service>, with * as wildcard); task_role_arns, the roles of their tasks; plan_policy_arns
    and apply_policy_arns, what Terraform may read and change; boundary_arn, the permissions boundary of applies; require_boundary,
    whether roles that an apply creates must have it.
  EOT
  type = map(object({
    branches = list(string)
    approval = optional(string, "never")
    protect  = optional(list(string), [])
    approvers = optional(list(object({
      principal = string
      session   = optional(string)
      login     = optional(string)
    })), [])
    operators = optional(list(object({
      principal = string
      session   = optional(string)
      login     = optional(string)
    })), [])
    self_approval     = optional(string, "refused")
    services          = optional(list(string), [])
    task_role_arns    = optional(list(string), [])
    plan_policy_arns  = optional(list(string), [])
    apply_policy_arns = optional(list(string), [])
    boundary_arn      = optional(string)
    require_boundary  = optional(bool, true)
  }))

  validation {
    condition     = length(var.environments) > 0
    error_message = "environments must have at least one entry: without one, no push is delivered."
  }

  validation {
    condition = alltrue([for environment in var.environments : length(environment.branches) > 0 && alltrue([
      for branch in environment.branches : branch != "" && !startswith(branch, "refs/")
    ])])
    error_message = "branches must have at least one entry, a name without refs/heads/."
  }

  validation {
    condition     = length(distinct(flatten([for environment in var.environments : environment.branches]))) == length(flatten([for environment in var.environments : environment.branches]))
    error_message = "A branch belongs to one environment: two entries of branches are equal."
  }

  validation {
    condition     = alltrue([for environment in var.environments : contains(["never", "on-destroy", "always"], environment.approval)])
    error_message = "approval must be never, on-destroy or always."
  }

  validation {
    condition     = alltrue([for environment in var.environments : contains(["refused", "allowed"], environment.self_approval)])
    error_message = "self_approval must be refused or allowed."
  }

  validation {
    condition     = alltrue([for environment in var.environments : length(environment.protect) <= 50])
    error_message = "protect may have 50 entries: every run keeps them."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for person in concat(environment.approvers, environment.operators) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", person.principal))
    ]]))
    error_message = "principal must be the ARN of an IAM role or user, such as arn:aws:iam::111122223333:role/operators. Of a role that people assume by IAM Identity Center, it is the name of the role without its path."
  }

  validation {
    condition     = alltrue(flatten([for environment in var.environments : [for service in environment.services : can(regex("^[A-Za-z0-9_*-]+/[A-Za-z0-9_*-]+$", service))]]))
    error_message = "services must have the form <cluster>/<service>, such as shop-production/shop-production."
  }

  validation {
    condition     = alltrue(flatten([for environment in var.environments : [for arn in environment.task_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/*-]+$", arn))]]))
    error_message = "task_role_arns must be ARNs of IAM roles, such as arn:aws:iam::111122223333:role/shop-task."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for arn in concat(environment.plan_policy_arns, environment.apply_policy_arns, compact([environment.boundary_arn])) : can(regex("^arn:[a-z-]+:iam::(aws|[0-9]{12}):policy/", arn))
    ]]))
    error_message = "plan_policy_arns, apply_policy_arns and boundary_arn must be ARNs of IAM policies, such as arn:aws:iam::aws:policy/ReadOnlyAccess."
  }

  validation {
    condition     = alltrue([for environment in var.environments : length(environment.apply_policy_arns) == 0 || environment.boundary_arn != null || !environment.require_boundary])
    error_message = "An environment with apply_policy_arns needs boundary_arn: a role that an apply creates without a boundary may do more than the apply. To allow such roles, set require_boundary = false."
  }
}
