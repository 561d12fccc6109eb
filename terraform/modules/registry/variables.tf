variable "name" {
  description = "Name of the repository of images, such as `sluicegate/acme/shop`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$", var.name))
    error_message = "An image repository's name has lower case letters, digits and single . _ - / between them."
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
  description = "Newest images that are kept besides the deployed ones."
  type        = number
  default     = 200

  validation {
    condition     = var.keep >= 10
    error_message = "keep must be at least 10: a rollback needs the images of earlier commits."
  }
}

variable "force_destroy" {
  description = "Whether destroying the repository may destroy its images as well."
  type        = bool
  default     = false
}
