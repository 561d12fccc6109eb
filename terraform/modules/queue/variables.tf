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
    condition     = var.retention_days >= 1 && var.retention_days <= 14
    error_message = "retention_days must lie between 1 and 14: SQS keeps nothing longer."
  }
}

variable "visibility_timeout_seconds" {
  description = "Seconds that a reader has before the message is shown to another one."
  type        = number
  default     = 60
}

variable "dead_letter" {
  description = "Queue that takes what could not be read, and after how many attempts; null for none."
  type = object({
    arn      = string
    attempts = optional(number, 5)
  })
  default = null
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
