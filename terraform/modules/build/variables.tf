variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "First part of the names of the projects and their roles, such as sluicegate-build-github-42."
  type        = string

  validation {
    condition     = length(var.name) <= 58
    error_message = "name may have at most 58 characters: it is part of the names of IAM roles, which are limited to 64."
  }
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
  description = "Image in which tests and image builds run, with bash, docker and the AWS CLI; null for AWS's image for the architecture."
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
  description = "Minutes after which CodeBuild stops a test or an image build, at least 5."
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
  description = "Builds of each project that may run at the same time; null for the account's limit. CodeBuild refuses a value above that limit, which is 1 in a new account."
  type        = number
  default     = null

  validation {
    condition     = var.concurrent_build_limit == null || try(var.concurrent_build_limit >= 1 && floor(var.concurrent_build_limit) == var.concurrent_build_limit, false)
    error_message = "concurrent_build_limit must be null or a whole number, at least 1."
  }
}

variable "sources" {
  description = "The repository's sealed sources: the ARN of their objects, such as arn:aws:s3:::artifacts/sources/github-42/*, and their KMS key."
  type = object({
    arn     = string
    key_arn = string
  })
}

variable "registry_arn" {
  description = "ARN of the ECR repository of the repository's images."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the projects."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the log groups."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the logs, in days."
  type        = number
}
