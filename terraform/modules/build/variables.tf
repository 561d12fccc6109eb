variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the project."
  type        = string
}

variable "architecture" {
  description = "Processor of the built images: arm64 or x86_64."
  type        = string

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "environment_image" {
  description = "Image in which builds run, with bash, docker and the AWS CLI; null for AWS's image for the architecture."
  type        = string
  default     = null
}

variable "compute_type" {
  description = "Compute type of the builds."
  type        = string
  default     = "BUILD_GENERAL1_SMALL"

  validation {
    condition     = contains(["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"], var.compute_type)
    error_message = "compute_type must be BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE or _2XLARGE."
  }
}

variable "timeout_minutes" {
  description = "Minutes after which CodeBuild stops a build, at least 5."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout_minutes >= 5 && floor(var.timeout_minutes) == var.timeout_minutes
    error_message = "timeout_minutes must be a whole number, at least 5."
  }

  validation {
    condition     = (var.timeout_minutes + var.queued_timeout_minutes) * 60 + 600 <= var.state_seconds
    error_message = "timeout_minutes and queued_timeout_minutes are too long: together they must be at most ${floor(var.state_seconds / 60) - 10}, ten minutes less than the state machine waits for a build."
  }
}

variable "queued_timeout_minutes" {
  description = "Minutes that a build may wait in the queue, at least 5."
  type        = number
  default     = 30

  validation {
    condition     = var.queued_timeout_minutes >= 5 && floor(var.queued_timeout_minutes) == var.queued_timeout_minutes
    error_message = "queued_timeout_minutes must be a whole number, at least 5."
  }
}

variable "state_seconds" {
  description = "Seconds that the state machine waits for a build."
  type        = number
}

variable "concurrent_build_limit" {
  description = "Builds that may run at the same time; null for the account's limit. CodeBuild refuses a value above that limit, which is 1 in a new account."
  type        = number
  default     = null

  validation {
    condition     = var.concurrent_build_limit == null || try(var.concurrent_build_limit >= 1 && floor(var.concurrent_build_limit) == var.concurrent_build_limit, false)
    error_message = "concurrent_build_limit must be null or a whole number, at least 1."
  }
}

variable "artifacts" {
  description = "Artifacts bucket, from which builds read sealed sources."
  type = object({
    arn     = string
    key_arn = string
  })
}

variable "registry_arns" {
  description = "ARNs of the ECR repositories that builds push to."
  type        = list(string)
}

variable "key_arn" {
  description = "KMS key of the project."
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
