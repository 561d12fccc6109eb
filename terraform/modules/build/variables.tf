variable "account" {
  description = "Where the resources live: partition (aws), account id (12 digits) and region. ARNs are built from it."
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
    error_message = "architecture must be arm64 or x86_64: CodeBuild offers no other."
  }
}

variable "environment_image" {
  description = "Image in which builds run; null for AWS's own of the architecture. It needs bash, docker and the AWS CLI."
  type        = string
  default     = null
}

variable "compute_type" {
  description = "Size of the builds' machine."
  type        = string
  default     = "BUILD_GENERAL1_SMALL"

  validation {
    condition     = contains(["BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"], var.compute_type)
    error_message = "compute_type must be BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE or _2XLARGE: CodeBuild offers no other to this environment."
  }
}

variable "timeout_minutes" {
  description = "Minutes after which a build is stopped, at least 5; with queued_timeout_minutes at most 90."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout_minutes >= 5 && floor(var.timeout_minutes) == var.timeout_minutes
    error_message = "timeout_minutes must be a whole number, at least 5: CodeBuild accepts nothing else."
  }

  validation {
    condition     = (var.timeout_minutes + var.queued_timeout_minutes) * 60 <= 5400
    error_message = "timeout_minutes and queued_timeout_minutes must be 90 together at most: the state machine waits little longer for a build and would give up first."
  }
}

variable "queued_timeout_minutes" {
  description = "Minutes that a build may wait for its machine, at least 5; with timeout_minutes at most 90."
  type        = number
  default     = 30

  validation {
    condition     = var.queued_timeout_minutes >= 5 && floor(var.queued_timeout_minutes) == var.queued_timeout_minutes
    error_message = "queued_timeout_minutes must be a whole number, at least 5: CodeBuild accepts nothing else."
  }
}

variable "concurrent_build_limit" {
  description = "Builds that may run at once; null for as many as the account may, which in a young one is 1: CodeBuild refuses more."
  type        = number
  default     = null

  validation {
    condition     = var.concurrent_build_limit == null || try(var.concurrent_build_limit >= 1 && floor(var.concurrent_build_limit) == var.concurrent_build_limit, false)
    error_message = "concurrent_build_limit must be null or a whole number, at least 1."
  }
}

variable "artifacts" {
  description = "Artifacts bucket: sealed sources are read from it."
  type = object({
    arn     = string
    key_arn = string
  })
}

variable "registry_arns" {
  description = "ECR repositories that builds push to."
  type        = list(string)
}

variable "key_arn" {
  description = "KMS key of what the project keeps."
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
