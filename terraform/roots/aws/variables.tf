# The variables of modules/sluicegate. Where the type is `any`, the module has the type, the defaults and the checks.

variable "region" {
  description = "AWS region of the installation."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "name" {
  description = "Prefix of the names of all resources."
  type        = string
  default     = "sluicegate"
}

variable "repositories" {
  description = <<-EOT
    The repositories to enrol: forge, id, full_name, clone_url, image_repository and environments, the variables of
    modules/repository, which has their types, defaults and checks.
  EOT
  type        = any

  validation {
    condition     = alltrue([for repository in var.repositories : startswith(coalesce(try(repository.clone_url, null), "https://"), "https://")])
    error_message = "clone_url must start with https://: requests carry the forge's token."
  }

  validation {
    condition     = length(distinct([for repository in var.repositories : "${try(repository.forge, "github")}-${repository.id}"])) == length(var.repositories)
    error_message = "Two entries of repositories have the same forge and id. Enroll each repository once."
  }
}

variable "lambda_zip" {
  description = "Path of the Lambdas' zips, where {step} stands for the name of the step."
  type        = string
  default     = "../../../target/lambda-arm64/{step}.zip"
}

variable "architecture" {
  description = "Processor of the Lambdas: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "forge_url" {
  description = "Base address of the forge's API."
  type        = string
  default     = "https://api.github.com"
}

variable "log_level" {
  description = "Log level of the Lambdas: error, warn, info or debug."
  type        = string
  default     = "info"
}

variable "runner" {
  description = "The container that runs Terraform: image (null for the runner's own ECR repository), tag, architecture, environment."
  type        = any
  default     = {}
}

variable "job_sizes" {
  description = "Size of the jobs: plan and apply, each with vcpu, memory_mb, timeout_seconds, max_vcpus."
  type        = any
  default     = {}
}

variable "build" {
  description = "CodeBuild: architecture, environment_image, compute_type, timeout_minutes, queued_timeout_minutes, concurrent_build_limit."
  type        = any
  default     = {}
}

variable "lambda_settings" {
  description = "memory_mb, timeout_seconds, reserved_concurrency (-1 for none) and ephemeral_storage_mb of Lambdas, by step."
  type        = any
  default     = {}
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
}

variable "retention" {
  description = "Days for which data is kept: log_days, run_days, noncurrent_days, audit_lock_days."
  type        = any
  default     = {}
}

variable "protect" {
  description = "Whether AWS refuses to delete the installation's data: tables and buckets with content, keys and secrets for 30 days."
  type        = bool
  default     = true
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms notify; without one, alarms show only in the console."
  type        = list(string)
  default     = []
}
