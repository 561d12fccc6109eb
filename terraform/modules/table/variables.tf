variable "name" {
  description = "Name of the table."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the table."
  type        = string
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the table."
  type        = bool
  default     = true
}
