variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "image" {
  description = "Image of the runner, with its tag or digest."
  type        = string
}

variable "architecture" {
  description = "Processor of the runner's image: arm64 or x86_64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "sizes" {
  description = "Size of each kind of job: vcpu (0.25 to 16), memory in MiB (a size that Fargate offers for the vcpu), timeout in seconds, and the vcpus of all jobs that run at the same time."
  type = object({
    plan = optional(object({
      vcpu            = optional(number, 1)
      memory_mb       = optional(number, 2048)
      timeout_seconds = optional(number, 1800)
      max_vcpus       = optional(number, 16)
    }), {})
    apply = optional(object({
      vcpu            = optional(number, 1)
      memory_mb       = optional(number, 2048)
      timeout_seconds = optional(number, 7200)
      max_vcpus       = optional(number, 16)
    }), {})
  })
  default = {}

  validation {
    condition     = alltrue([for size in values(var.sizes) : contains([0.25, 0.5, 1, 2, 4, 8, 16], size.vcpu)])
    error_message = "vcpu must be 0.25, 0.5, 1, 2, 4, 8 or 16."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : try(contains(local.fargate_memory_mb[tostring(size.vcpu)], size.memory_mb), true)])
    error_message = "memory_mb must be a size that Fargate offers for the vcpu: ${join("; ", [for vcpu, sizes in local.fargate_memory_mb : "${vcpu} vcpu: ${sizes[0]} to ${sizes[length(sizes) - 1]}, step ${sizes[1] - sizes[0]}"])}."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.max_vcpus >= max(1, size.vcpu) && floor(size.max_vcpus) == size.max_vcpus])
    error_message = "max_vcpus must be a whole number, at least 1 and at least the vcpu of one job: otherwise no job can start."
  }

  validation {
    condition = alltrue([for kind, size in var.sizes :
      size.timeout_seconds >= var.terraform_seconds[kind] + 120 && floor(size.timeout_seconds) == size.timeout_seconds
    ])
    error_message = "timeout_seconds must be a whole number, at least ${join(" and ", [for kind, seconds in var.terraform_seconds : "${seconds + 120} for ${kind}"])}: the runner stops Terraform after its own time limit and then needs up to 120 s. Batch must not kill the job before that."
  }

  validation {
    condition     = alltrue([for kind, size in var.sizes : size.timeout_seconds * local.attempts[kind] + 300 <= var.state_seconds[kind]])
    error_message = "timeout_seconds is too long: the state machine waits ${join(" and ", [for kind, seconds in var.state_seconds : "${seconds} s for ${kind}"])}. All attempts (${join(", ", [for kind, count in local.attempts : "${kind}: ${count}"])}) and 300 s until Fargate starts must fit into that time."
  }
}

variable "state_seconds" {
  description = "Seconds that the state machine waits for a job, by kind."
  type = object({
    plan  = number
    apply = number
  })
}

variable "terraform_seconds" {
  description = "Seconds after which the runner stops Terraform, by kind of job."
  type = object({
    plan  = number
    apply = number
  })
}

variable "user" {
  description = "User and group id of the runner in its container."
  type        = string
  default     = "65532:65532"

  validation {
    condition     = can(regex("^[1-9][0-9]*:[1-9][0-9]*$", var.user))
    error_message = "user must be two ids above 0, such as 65532:65532: the runner must not be root."
  }
}

variable "environment" {
  description = "More environment variables for the jobs, such as SLUICEGATE_PROVIDER_MIRROR."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !startswith(name, "AWS_BATCH") && !contains(["AWS_REGION", "SLUICEGATE_BUCKET", "SLUICEGATE_ENVIRONMENT", "SLUICEGATE_REPOSITORY"], name)])
    error_message = "environment must map names of variables to values. AWS_REGION, SLUICEGATE_BUCKET, SLUICEGATE_ENVIRONMENT and SLUICEGATE_REPOSITORY are set by the module environment, and Batch reserves names that start with AWS_BATCH."
  }
}

variable "network" {
  description = "Subnets and security group of the jobs."
  type = object({
    subnet_ids        = list(string)
    security_group_id = string
  })
}

variable "registry_arn" {
  description = "ARN of the ECR repository with the runner's image."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the log group."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the log, in days."
  type        = number
}
