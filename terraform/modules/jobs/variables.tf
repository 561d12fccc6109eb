variable "account" {
  description = "Where the resources live: partition (aws), account id (12 digits) and region. ARNs are built from it."
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
    error_message = "architecture must be arm64 or x86_64: Fargate runs on nothing else."
  }
}

variable "sizes" {
  description = "Size of each kind of job: vcpu (0.25 to 16), memory in MiB (one that Fargate offers for this vcpu), timeout in seconds; and the vcpus that may run at once."
  type = object({
    plan  = object({ vcpu = number, memory_mb = number, timeout_seconds = number, max_vcpus = number })
    apply = object({ vcpu = number, memory_mb = number, timeout_seconds = number, max_vcpus = number })
  })
  default = {
    plan  = { vcpu = 1, memory_mb = 2048, timeout_seconds = 1800, max_vcpus = 16 }
    apply = { vcpu = 1, memory_mb = 2048, timeout_seconds = 7200, max_vcpus = 16 }
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : contains([0.25, 0.5, 1, 2, 4, 8, 16], size.vcpu)])
    error_message = "vcpu must be one of 0.25, 0.5, 1, 2, 4, 8, 16: Fargate offers no other."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : try(contains(local.fargate_memory_mb[tostring(size.vcpu)], size.memory_mb), true)])
    error_message = "memory_mb must be one that Fargate offers for the vcpu: ${join("; ", [for vcpu, sizes in local.fargate_memory_mb : "${vcpu} vcpu: ${sizes[0]} to ${sizes[length(sizes) - 1]}, step ${sizes[1] - sizes[0]}"])}."
  }

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.max_vcpus >= max(1, size.vcpu) && floor(size.max_vcpus) == size.max_vcpus])
    error_message = "max_vcpus must be a whole number, at least 1 and the vcpu of one job: else no job ever starts."
  }

  validation {
    condition = alltrue([for kind, size in var.sizes :
      size.timeout_seconds >= local.terraform_seconds[kind] + 120 && floor(size.timeout_seconds) == size.timeout_seconds
    ])
    error_message = "timeout_seconds must be a whole number, at least ${join(" and ", [for kind, seconds in local.terraform_seconds : "${seconds + 120} for ${kind}"])}: the runner itself stops terraform after its own time and then needs up to 120 s; Batch would kill it in the middle."
  }

  validation {
    condition     = alltrue([for kind, size in var.sizes : size.timeout_seconds * local.attempts[kind] + 300 <= var.state_seconds[kind]])
    error_message = "timeout_seconds is too long: the state machine waits ${join(" and ", [for kind, seconds in var.state_seconds : "${seconds} s for ${kind}"])}, which all attempts (${join(", ", [for kind, count in local.attempts : "${kind}: ${count}"])}) and 300 s of waiting for Fargate must fit into."
  }
}

variable "state_seconds" {
  description = "Seconds that the state machine waits for a job, by kind: the shortest timeout of the states that start one."
  type = object({
    plan  = number
    apply = number
  })
}

variable "user" {
  description = "User and group ids the runner has in its container; never 0."
  type        = string
  default     = "65532:65532"

  validation {
    condition     = can(regex("^[1-9][0-9]*:[1-9][0-9]*$", var.user))
    error_message = "user must be two ids above 0, such as 65532:65532: the runner never is root."
  }
}

variable "environment" {
  description = "Further environment variables of the jobs, such as SLUICEGATE_PROVIDER_MIRROR."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !startswith(name, "AWS_BATCH") && !contains(["AWS_REGION", "SLUICEGATE_BUCKET"], name)])
    error_message = "environment must hold names of variables, neither AWS_REGION nor SLUICEGATE_BUCKET, which are set already, nor AWS_BATCH..., which Batch refuses."
  }
}

variable "network" {
  description = "Subnets and security group of the jobs."
  type = object({
    subnet_ids        = list(string)
    security_group_id = string
  })
}

variable "artifacts" {
  description = "Artifacts bucket: sealed sources are read, the runs' own objects read, written and tagged."
  type = object({
    name    = string
    arn     = string
    key_arn = string
  })
}

variable "state" {
  description = "Bucket with the states of the delivered stacks, and its key."
  type = object({
    arn     = string
    key_arn = string
  })
}

variable "repository_ids" {
  description = "Ids of the enrolled repositories: the jobs see the states of these and no other."
  type        = list(number)
}

variable "plan_policy_arns" {
  description = "Managed policies with which plans read the account."
  type        = list(string)
}

variable "apply_policy_arns" {
  description = "Managed policies with which applies change the account."
  type        = list(string)
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the apply role; null for none."
  type        = string
  default     = null
}

variable "pipeline" {
  description = <<-EOT
    What no job may change, whatever its managed policies allow: ARNs (patterns) of the pipeline's own resources, of its
    secrets, of its repositories of images (which may be read) and of the keys that no job uses.
  EOT
  type = object({
    arns        = list(string)
    secret_arns = list(string)
    image_arns  = list(string)
    key_arns    = list(string)
  })
}

variable "registry_arn" {
  description = "ECR repository with the runner's image."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the log group."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the log is kept."
  type        = number
}
