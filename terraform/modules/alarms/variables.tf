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
  description = "SNS topics that alarms call, such as one with the operators' addresses; none by default."
  type        = list(string)
  default     = []
}

variable "functions" {
  description = "Names of all Lambdas; the webhook's and record's are watched by alarms, all by the dashboard."
  type = object({
    webhook = string
    record  = string
    all     = list(string)
  })
}

variable "state_machine_arn" {
  description = "ARN of the state machine."
  type        = string
}

variable "queues" {
  description = "Names of the queues: status, status_unread (its dead letters) and events_lost."
  type = object({
    status        = string
    status_unread = string
    events_lost   = string
  })
}

variable "rules" {
  description = "The EventBridge rules whose targets are watched, with the bus they are on (null is the default bus)."
  type = map(object({
    rule = string
    bus  = optional(string)
  }))
}

variable "table_name" {
  description = "Name of the table."
  type        = string
}
