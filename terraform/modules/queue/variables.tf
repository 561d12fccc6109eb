variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the queue, without `.fifo`."
  type        = string
}

variable "fifo" {
  description = "Whether the queue is FIFO: messages of a group keep their order, and duplicates are dropped."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "KMS key of the messages."
  type        = string
}

variable "retention_days" {
  description = "Retention of messages, 1 to 14 days."
  type        = number
  default     = 14

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 14 && floor(var.retention_days * 86400) == var.retention_days * 86400
    error_message = "retention_days must be from 1 to 14."
  }
}

variable "visibility_timeout_seconds" {
  description = "Visibility timeout of received messages, in seconds."
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_timeout_seconds >= 0 && var.visibility_timeout_seconds <= 43200 && floor(var.visibility_timeout_seconds) == var.visibility_timeout_seconds
    error_message = "visibility_timeout_seconds must be a whole number from 0 to 43200."
  }
}

variable "dead_letter" {
  description = "Dead-letter queue, and the number of receives after which a message is moved to it; null for none."
  type = object({
    arn      = string
    attempts = optional(number, 5)
  })
  default = null

  validation {
    condition     = var.dead_letter == null || try(var.dead_letter.attempts >= 1 && var.dead_letter.attempts <= 1000 && floor(var.dead_letter.attempts) == var.dead_letter.attempts, false)
    error_message = "dead_letter.attempts must be a whole number from 1 to 1000."
  }
}

variable "dead_letter_for" {
  description = "Names (without `.fifo`) of the queues for which this is the dead-letter queue; null for none."
  type        = list(string)
  default     = null
}

variable "event_rule_arns" {
  description = "ARNs of the EventBridge rules that may send to the queue."
  type        = list(string)
  default     = []
}
