variable "account" {
  description = "Where the resources live: partition (aws), account id (12 digits) and region. ARNs are built from it."
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
  description = "Whether messages of one group keep their order and repeated ones are dropped."
  type        = bool
  default     = false
}

variable "key_arn" {
  description = "KMS key of the messages."
  type        = string
}

variable "retention_days" {
  description = "Days that a message waits for its reader, 1 to 14."
  type        = number
  default     = 14

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 14 && floor(var.retention_days * 86400) == var.retention_days * 86400
    error_message = "retention_days must lie between 1 and 14: SQS keeps nothing longer."
  }
}

variable "visibility_timeout_seconds" {
  description = "Seconds that a reader has before the message is shown to another one."
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_timeout_seconds >= 0 && var.visibility_timeout_seconds <= 43200 && floor(var.visibility_timeout_seconds) == var.visibility_timeout_seconds
    error_message = "visibility_timeout_seconds must be a whole number between 0 and 43200: SQS accepts nothing else."
  }
}

variable "dead_letter" {
  description = "Queue that takes what could not be read, and after how many attempts; null for none."
  type = object({
    arn      = string
    attempts = optional(number, 5)
  })
  default = null

  validation {
    condition     = var.dead_letter == null || try(var.dead_letter.attempts >= 1 && var.dead_letter.attempts <= 1000 && floor(var.dead_letter.attempts) == var.dead_letter.attempts, false)
    error_message = "dead_letter.attempts must be a whole number between 1 and 1000: SQS accepts nothing else."
  }
}

variable "dead_letter_for" {
  description = "Names of the queues (without `.fifo`) whose unread messages end here; null when this queue is no such end."
  type        = list(string)
  default     = null
}

variable "event_rule_arns" {
  description = "ARNs of the EventBridge rules that may send here."
  type        = list(string)
  default     = []
}
