variable "name" {
  description = "Name of the secret."
  type        = string
}

variable "description" {
  description = "What the secret holds and in which shape."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the secret."
  type        = string
}

variable "recovery_days" {
  description = "Days that a deleted secret can be brought back, 7 to 30; 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 0 or lie between 7 and 30: Secrets Manager accepts nothing else."
  }
}
