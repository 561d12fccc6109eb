variable "name" {
  description = "Name of the installation and prefix of all its resources."
  type        = string
  default     = "sluicegate"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 17 lower-case letters, digits or hyphens and start with a letter: it is part of bucket names, which are limited to 63 characters."
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
