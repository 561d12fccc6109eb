variable "region" {
  description = "AWS region of the installation."
  type        = string
  default     = "eu-central-1"

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
}

variable "artifacts_dir" {
  description = "Directory with the Lambdas' zips: webhook.zip, validate.zip, plan.zip, apply.zip, build-trigger.zip, deploy.zip, rollback.zip, record.zip."
  type        = string
}

variable "architecture" {
  description = "Processor of the Lambdas and of the built images: arm64 or x86_64."
  type        = string
  default     = "x86_64"
}

variable "registry_host" {
  description = "Host and port of the registry in images' names; the emulator's address, such as 127.0.0.1:4566."
  type        = string

  validation {
    condition     = can(regex("^[^/]+:[0-9]+$", var.registry_host))
    error_message = "registry_host must be <host>:<port> of the emulator, such as 127.0.0.1:4566: images are pushed there."
  }
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
  description = "The runner, which the Batch stand-in starts: image (a name for it; nothing is pulled), tag, processor, further environment variables, such as SLUICEGATE_PROVIDER_MIRROR."
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
