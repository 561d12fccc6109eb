variable "name" {
  description = "Name of the secret."
  type        = string
}

variable "description" {
  description = "Content of the secret and its format."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the secret."
  type        = string
}

variable "recovery_days" {
  description = "Recovery window of a deleted secret, 7 to 30 days; 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 0 or from 7 to 30."
  }
}
