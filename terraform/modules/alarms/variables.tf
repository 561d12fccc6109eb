variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Prefix of the alarms and name of the dashboard."
  type        = string
}

variable "topic_arns" {
  description = "SNS topics that alarms notify, such as one with the operators' addresses."
  type        = list(string)
  default     = []
}

variable "functions" {
  description = "Names of the Lambdas: webhook, record and reconcile have alarms, all are on the dashboard."
  type = object({
    webhook   = string
    record    = string
    reconcile = string
    all       = list(string)
  })
}

variable "state_machine_arn" {
  description = "ARN of the state machine."
  type        = string
}

variable "queues" {
  description = "Names of the queues: status, status_unread (its dead-letter queue) and events_lost."
  type = object({
    status        = string
    status_unread = string
    events_lost   = string
  })
}

variable "rules" {
  description = "The EventBridge rules to watch, each with its bus (null for the default bus)."
  type = map(object({
    rule = string
    bus  = optional(string)
  }))
}

variable "table_name" {
  description = "Name of the table."
  type        = string
}
