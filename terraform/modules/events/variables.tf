variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the bus and prefix of the rules."
  type        = string
}

variable "state_machine_arn" {
  description = "State machine whose executions `ended_function` closes."
  type        = string
}

variable "start_function" {
  description = "Lambda that starts the state machine for a push. Its dead-letter queue keeps the events that fail."
  type = object({
    name      = string
    alias     = string
    alias_arn = string
  })
}

variable "ended_function" {
  description = "Lambda that closes runs whose execution did not succeed."
  type = object({
    name      = string
    alias     = string
    alias_arn = string
  })
}

variable "reconcile_function" {
  description = "Lambda that a schedule calls every five minutes."
  type = object({
    name      = string
    alias     = string
    alias_arn = string
  })
}

variable "job_queue_arns" {
  description = "ARNs of the Batch queues. The event that one of them is blocked goes to the dead-letter queue."
  type        = list(string)
}

variable "dead_letter_arn" {
  description = "ARN of the dead-letter queue of the rules' targets."
  type        = string
}
