variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the function, its role and its log group."
  type        = string
}

variable "description" {
  description = "Purpose of the function, in one sentence."
  type        = string
}

variable "zip_path" {
  description = "Path of the zip with `bootstrap` in it."
  type        = string

  validation {
    condition     = fileexists(var.zip_path)
    error_message = "${var.zip_path} does not exist. Build the Lambdas with `scripts/build-lambdas.sh ${var.architecture}`, or correct lambda_zip."
  }
}

variable "code_bucket" {
  description = "Bucket through which the zip is uploaded, below `functions/`."
  type        = string
}

variable "architecture" {
  description = "Processor the zip was built for: arm64 or x86_64."
  type        = string

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_mb" {
  description = "Memory in MiB, 128 to 10240. CPU is allocated in proportion."
  type        = number
  default     = 256

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "Seconds after which Lambda stops a call, 1 to 900."
  type        = number
  default     = 30

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number from 1 to 900."
  }
}

variable "reserved_concurrency" {
  description = "Reserved concurrency; -1 for none."
  type        = number
  default     = 10

  validation {
    condition     = var.reserved_concurrency >= -1 && var.reserved_concurrency != 0 && floor(var.reserved_concurrency) == var.reserved_concurrency
    error_message = "reserved_concurrency must be -1 or a whole number, at least 1: with 0 the function cannot be called."
  }
}

variable "ephemeral_storage_mb" {
  description = "Size of /tmp in MiB, 512 to 10240."
  type        = number
  default     = 512

  validation {
    condition     = var.ephemeral_storage_mb >= 512 && var.ephemeral_storage_mb <= 10240 && floor(var.ephemeral_storage_mb) == var.ephemeral_storage_mb
    error_message = "ephemeral_storage_mb must be a whole number from 512 to 10240."
  }
}

variable "environment" {
  description = "Environment variables. They must not contain secrets, only ARNs of secrets."
  type        = map(string)
}

variable "policy_json" {
  description = "IAM policy of the function, without the statements for its log, its trace and its dead-letter queue."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the environment variables."
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

variable "dead_letter" {
  description = "Dead-letter queue for asynchronous calls, with its key; null for functions that are only called synchronously."
  type = object({
    queue_arn = string
    key_arn   = string
  })
  default = null
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role; null for none."
  type        = string
  default     = null
}
