variable "name" {
  description = "Name of the installation and prefix of all its resources."
  type        = string
  default     = "sluicegate"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 17 lower-case letters, digits or hyphens and start with a letter: it is part of bucket names, which are limited to 63 characters."
  }
}

variable "repositories" {
  description = <<-EOT
    The enrolled repositories: forge (github; gitlab is reserved and receives no events yet); id (a number) and full_name as
    in the forge, with the groups of a subgroup; branches whose pushes start a run; clone_url (null for
    https://<forge>.com/<full_name>.git); image_repository, the ECR repository (null for <name>/<full_name>); services on ECS
    that deploy may roll out (<cluster>/<service>, with * as wildcard); task_role_arns, the roles of their tasks, which
    deploy must be able to pass.
  EOT
  type = list(object({
    forge            = optional(string, "github")
    id               = number
    full_name        = string
    branches         = optional(list(string), ["main"])
    clone_url        = optional(string)
    image_repository = optional(string)
    services         = optional(list(string), [])
    task_role_arns   = optional(list(string), [])
  }))

  validation {
    condition     = length(var.repositories) > 0
    error_message = "repositories must have at least one entry: EventBridge refuses a rule for none."
  }

  validation {
    condition     = alltrue([for repository in var.repositories : contains(["github", "gitlab"], repository.forge)])
    error_message = "forge must be github or gitlab."
  }

  validation {
    condition = alltrue([for repository in var.repositories :
      can(regex("^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){1,19}$", repository.full_name)) && length(repository.full_name) <= 255
    ])
    error_message = "full_name must be <owner>/<repository>, such as acme/shop, or have the groups of a subgroup, such as acme/platform/shop: 2 to 20 names and at most 255 characters."
  }

  validation {
    condition = !anytrue(flatten([for repository in var.repositories :
      [for part in split("/", "${repository.full_name}/${coalesce(repository.clone_url, "-")}") : contains([".", ".."], part)]
    ]))
    error_message = "full_name and clone_url must not contain . or .. as a name: as part of a path, they name another folder."
  }

  validation {
    condition     = alltrue([for repository in var.repositories : repository.forge != "github" || length(split("/", repository.full_name)) == 2])
    error_message = "full_name of a repository on GitHub must be <owner>/<repository>: GitHub has no subgroups."
  }

  validation {
    condition     = alltrue([for repository in var.repositories : repository.id > 0 && floor(repository.id) == repository.id])
    error_message = "id must be the number of the repository in the forge (`gh api repos/<full_name> --jq .id`). It is part of the path of the states, and a rename does not change it."
  }

  validation {
    condition     = length(distinct([for repository in var.repositories : "${repository.forge}-${repository.id}"])) == length(var.repositories)
    error_message = "Two entries of repositories have the same forge and id. Enroll each repository once."
  }

  validation {
    condition     = length(distinct([for repository in var.repositories : lower("${repository.forge}/${repository.full_name}")])) == length(var.repositories)
    error_message = "Two entries of repositories have the same forge and full_name. Enroll each repository once."
  }

  validation {
    condition = alltrue([for repository in var.repositories : length(repository.branches) > 0 && alltrue([
      for branch in repository.branches : branch != "" && !startswith(branch, "refs/")
    ])])
    error_message = "branches must have at least one entry, a name without refs/heads/."
  }

  validation {
    condition     = alltrue([for repository in var.repositories : repository.clone_url == null || can(regex("^(https?|file)://", repository.clone_url))])
    error_message = "clone_url must start with https:// (in the local run also http:// or file://): the token is sent over HTTP only."
  }

  validation {
    condition     = alltrue(flatten([for repository in var.repositories : [for service in repository.services : can(regex("^[A-Za-z0-9_*-]+/[A-Za-z0-9_*-]+$", service))]]))
    error_message = "services must have the form <cluster>/<service>, such as shop-production/shop-production."
  }

  validation {
    condition     = alltrue(flatten([for repository in var.repositories : [for arn in repository.task_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/*-]+$", arn))]]))
    error_message = "task_role_arns must be ARNs of IAM roles, such as arn:aws:iam::111122223333:role/shop-task."
  }

  validation {
    condition = length(distinct(concat(["${var.name}/runner"], [
      for repository in var.repositories : coalesce(repository.image_repository, "${var.name}/${lower(repository.full_name)}")
    ]))) == length(var.repositories) + 1
    error_message = "Two repositories have the same image_repository, or one has that of the runner, <name>/runner."
  }

  # Module registry checks it too, but its error does not name the entry.
  validation {
    condition = alltrue([for repository in var.repositories : can(regex(
      "^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$", coalesce(repository.image_repository, "default")
    ))])
    error_message = "image_repository must have lower-case letters and digits, separated by single . _ - or /."
  }

  # A Lambda's environment is limited to 4096 bytes; all variables but SLUICEGATE_REPOSITORIES need less than 800.
  validation {
    condition = sum(concat([0], [for repository in var.repositories : 80 + length(jsonencode({
      key       = "${repository.forge}-${repository.id}"
      full_name = repository.full_name
      branches  = repository.branches
      clone_url = coalesce(repository.clone_url, "https://${repository.forge}.com/${repository.full_name}.git")
      image     = coalesce(repository.image_repository, "${var.name}/${repository.full_name}")
    }))])) <= 3296
    error_message = "Too many repositories for one installation, which has room for about a dozen: the environment of a Lambda is limited to 4096 bytes. Enroll the others in a second installation with another name."
  }
}

variable "lambda_zip" {
  description = "Path of the Lambdas' zips, where {step} stands for the name of the step. scripts/build-lambdas.sh writes them to target/lambda-arm64/{step}.zip or target/lambda-x86_64/{step}.zip."
  type        = string
}

variable "architecture" {
  description = "Processor of the Lambdas: arm64 or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "forge_url" {
  description = "Base address of the forge's API."
  type        = string
  default     = "https://api.github.com"

  validation {
    condition     = can(regex("^https?://[^/]+", var.forge_url)) && !endswith(var.forge_url, "/")
    error_message = "forge_url must be an http(s) address without a trailing slash, such as https://api.github.com."
  }
}

variable "log_level" {
  description = "Log level of the Lambdas: error, warn, info or debug."
  type        = string
  default     = "info"

  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log_level)
    error_message = "log_level must be error, warn, info or debug."
  }
}

variable "registry_host" {
  description = "Host and port of the registry in images' names; null for ECR's."
  type        = string
  default     = null
}

variable "runner" {
  description = "The container that runs Terraform: image (null for the runner's own ECR repository with `tag`), tag, architecture, more environment variables."
  type = object({
    image        = optional(string)
    tag          = optional(string, "1")
    architecture = optional(string, "x86_64")
    environment  = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.runner.tag))
    error_message = "runner.tag must be a tag of an image: at most 128 letters, digits, _ . and -."
  }
}

variable "job_sizes" {
  description = "Size of the plan and apply jobs: `sizes` of modules/jobs, which has the type, the defaults and the checks."
  type        = any
  default     = {}
}

variable "job_policies" {
  description = "What delivered Terraform may do: managed policies of plans (read) and of applies (change), and the permissions boundary of applies."
  type = object({
    plan_arns    = optional(list(string), [])
    apply_arns   = optional(list(string), [])
    boundary_arn = optional(string)
  })
  default = {}

  validation {
    condition     = alltrue([for arn in concat(var.job_policies.plan_arns, var.job_policies.apply_arns) : can(regex("^arn:[a-z-]+:iam::(aws|[0-9]{12}):policy/", arn))])
    error_message = "job_policies must be ARNs of IAM policies, such as arn:aws:iam::aws:policy/ReadOnlyAccess."
  }

  validation {
    condition     = var.job_policies.boundary_arn == null || can(regex("^arn:[a-z-]+:iam::(aws|[0-9]{12}):policy/", var.job_policies.boundary_arn))
    error_message = "job_policies.boundary_arn must be null or the ARN of an IAM policy, such as arn:aws:iam::111122223333:policy/delivery-boundary."
  }

  validation {
    condition     = max(length(distinct(var.job_policies.plan_arns)), length(distinct(var.job_policies.apply_arns))) <= 10
    error_message = "job_policies may have 10 policies for each kind of job: IAM attaches no more to a role."
  }
}

variable "build" {
  description = "CodeBuild: architecture of the images (arm64 or x86_64), image in which builds run (null for AWS's), compute type, minutes that a build may run and that it may wait in the queue, builds at the same time (null for the account's limit)."
  type = object({
    architecture           = optional(string, "x86_64")
    environment_image      = optional(string)
    compute_type           = optional(string, "BUILD_GENERAL1_SMALL")
    timeout_minutes        = optional(number, 60)
    queued_timeout_minutes = optional(number, 30)
    concurrent_build_limit = optional(number)
  })
  default = {}
}

variable "lambda_settings" {
  description = "Memory (MiB), timeout (s), reserved concurrency (-1 for none) and /tmp (MiB) of Lambdas, by step; null or absent for the values in steps/<name>.json."
  type = map(object({
    memory_mb            = optional(number)
    timeout_seconds      = optional(number)
    reserved_concurrency = optional(number)
    ephemeral_storage_mb = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.lambda_settings) : contains(keys(local.steps), name)])
    error_message = "lambda_settings names a step that does not exist. The steps are ${join(", ", keys(local.steps))}."
  }

  validation {
    condition     = alltrue([for name, settings in var.lambda_settings : coalesce(settings.timeout_seconds, 1) < lookup(local.call_seconds, name, 901)])
    error_message = "timeout_seconds of a Lambda must be less than the time that the state machine waits for it, so that the Lambda can still report its error: ${join(", ", [for name, seconds in local.call_seconds : "less than ${seconds} for ${name}"])}."
  }
}

variable "network_cidr" {
  description = "Address range of the jobs' network."
  type        = string
  default     = "10.86.0.0/20"
}

variable "zones" {
  description = "Letters of the two availability zones with the jobs' subnets."
  type        = list(string)
  default     = ["a", "b"]

  validation {
    condition     = length(distinct(var.zones)) == 2 && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "zones must be two different letters, such as [\"a\", \"b\"]."
  }
}

variable "retention" {
  description = "Retention in days: logs, objects of runs (plans, results, logs of jobs), noncurrent versions of objects, lock of the audit."
  type = object({
    log_days        = optional(number, 365)
    run_days        = optional(number, 365)
    noncurrent_days = optional(number, 365)
    audit_lock_days = optional(number, 365)
  })
  default = {}

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.retention.log_days)
    error_message = "retention.log_days must be a retention of CloudWatch Logs, such as 30, 90, 365 or 731."
  }

  validation {
    condition     = var.retention.run_days >= 30 && floor(var.retention.run_days) == var.retention.run_days
    error_message = "retention.run_days must be a whole number, at least 30: a rollback reads the last good run's results."
  }

  validation {
    condition     = var.retention.noncurrent_days >= 1 && floor(var.retention.noncurrent_days) == var.retention.noncurrent_days
    error_message = "retention.noncurrent_days must be a whole number, at least 1, so that a deletion can be undone."
  }

  validation {
    condition     = var.retention.audit_lock_days >= 1 && floor(var.retention.audit_lock_days) == var.retention.audit_lock_days
    error_message = "retention.audit_lock_days must be a whole number, at least 1: the audit is always locked."
  }
}

variable "protect" {
  description = "Whether data is protected from deletion: a destroy fails for the table and for buckets with objects, and keys and secrets can be restored for 30 days."
  type        = bool
  default     = true
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms notify; without one, alarms show only in the console."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", arn))])
    error_message = "alarm_topic_arns must be ARNs of SNS topics."
  }
}
