variable "name" {
  description = "Name of the ECR repository, such as `sluicegate/acme/shop`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$", var.name))
    error_message = "The name of an ECR repository has lower-case letters and digits, separated by single . _ - or /."
  }
}

variable "host" {
  description = "Host (and port) of the registry in images' names; null for ECR's own."
  type        = string
  default     = null
}

variable "key_arn" {
  description = "KMS key of the images."
  type        = string
}

variable "keep" {
  description = "Number of newest images to keep in addition to deployed ones."
  type        = number
  default     = 200

  validation {
    condition     = var.keep >= 10
    error_message = "keep must be at least 10: a rollback needs the images of earlier commits."
  }
}

variable "force_destroy" {
  description = "Whether a destroy deletes the repository's images too."
  type        = bool
  default     = false
}
