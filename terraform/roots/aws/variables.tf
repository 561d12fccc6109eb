variable "region" {
  description = "AWS region of the installation."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "name" {
  description = "Name of the installation and prefix of all its resources."
  type        = string
  default     = "sluicegate"
}

variable "repositories" {
  description = <<-EOT
    The enrolled repositories: numeric id and full name as the forge gives them, the branches whose pushes start a run,
    the address for cloning (null: https://github.com/<full_name>.git), the repository of its images (null:
    <name>/<full_name>), the ECS services that deploy may roll out (<cluster>/<service>, * for any part of a name), and the
    roles that their tasks have, which deploy has to pass on.
  EOT
  type = list(object({
    id               = number
    full_name        = string
    branches         = optional(list(string), ["main"])
    clone_url        = optional(string)
    image_repository = optional(string)
    services         = optional(list(string), [])
    task_role_arns   = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for repository in var.repositories : repository.clone_url == null || startswith(coalesce(repository.clone_url, "-"), "https://")])
    error_message = "clone_url must start with https://: the forge's token travels with the request."
  }
}

variable "artifacts_dir" {
  description = "Directory with the Lambdas' zips: webhook.zip, validate.zip, plan.zip, apply.zip, build-trigger.zip, deploy.zip, rollback.zip, record.zip."
  type        = string
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
  description = "What the Lambdas log: error, warn, info or debug."
  type        = string
  default     = "info"
}

variable "runner" {
  description = "The container that runs Terraform: image (null: the runner's own ECR repository with `tag`), tag, processor, further environment variables."
  type = object({
    image        = optional(string)
    tag          = optional(string, "1")
    architecture = optional(string, "x86_64")
    environment  = optional(map(string), {})
  })
  default = {}
}

variable "job_sizes" {
  description = "Size of the plan and apply jobs: vcpu, memory in MiB (one that Fargate offers for the vcpu), timeout in seconds (plan 1620 to 1800, apply 7020 to 14100), vcpus that may run at once."
  type = object({
    plan  = optional(object({ vcpu = number, memory_mb = number, timeout_seconds = number, max_vcpus = number }), { vcpu = 1, memory_mb = 2048, timeout_seconds = 1800, max_vcpus = 16 })
    apply = optional(object({ vcpu = number, memory_mb = number, timeout_seconds = number, max_vcpus = number }), { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 })
  })
  default = {}
}

variable "job_policies" {
  description = "What delivered Terraform may do: managed policies of plans (reading), of applies (changing), and the permissions boundary of applies."
  type = object({
    plan_arns    = optional(list(string), ["arn:aws:iam::aws:policy/ReadOnlyAccess"])
    apply_arns   = optional(list(string), [])
    boundary_arn = optional(string)
  })
  default = {}
}

variable "build" {
  description = "CodeBuild: processor of the built images (arm64 or x86_64), image in which builds run (null: AWS's own), size of the machine, minutes until a build is stopped and that it may wait for its machine (90 together at most), builds at once (null: as many as the account may)."
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
  description = "Memory (MiB), timeout (s), reserved concurrency (-1: none reserved) and /tmp (MiB) of Lambdas that need others than the defaults, by Lambda."
  type = map(object({
    memory_mb            = optional(number)
    timeout_seconds      = optional(number)
    reserved_concurrency = optional(number)
    ephemeral_storage_mb = optional(number)
  }))
  default = {}
}

variable "network_cidr" {
  description = "Address range of the jobs' network."
  type        = string
  default     = "10.86.0.0/20"
}

variable "zones" {
  description = "Letters of the two availability zones with the jobs' subnets; an account that lacks one of them names others."
  type        = list(string)
  default     = ["a", "b"]
}

variable "retention" {
  description = "Days that things are kept: logs, runs (plans, results, logs of jobs), replaced versions of objects, audit (locked)."
  type = object({
    log_days        = optional(number, 365)
    run_days        = optional(number, 365)
    noncurrent_days = optional(number, 365)
    audit_lock_days = optional(number, 365)
  })
  default = {}
}

variable "protect" {
  description = "Whether data outlives a mistake: table and buckets refuse to be destroyed with data in them, keys and secrets can be brought back for 30 days."
  type        = bool
  default     = true
}

variable "alarm_topic_arns" {
  description = "SNS topics that alarms call; without one alarms only show in the console."
  type        = list(string)
  default     = []
}
