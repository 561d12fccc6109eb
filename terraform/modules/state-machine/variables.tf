variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the state machine."
  type        = string
}

variable "definition_file" {
  description = "Path of the definition (Amazon States Language) with placeholders in `$${...}`."
  type        = string

  validation {
    condition     = fileexists(var.definition_file)
    error_message = "The state machine's definition does not exist at this path."
  }
}

variable "function_arns" {
  description = "Alias ARNs of the Lambdas, by their names with `_` for `-`; placeholder of each is `<name>_arn`."
  type        = map(string)
}

variable "jobs" {
  description = "Batch queues and job definitions of the two kinds of jobs (ARNs)."
  type = object({
    plan_queue_arn       = string
    apply_queue_arn      = string
    plan_definition_arn  = string
    apply_definition_arn = string
  })
}

variable "build_project" {
  description = "CodeBuild project that tests and builds images."
  type = object({
    name = string
    arn  = string
  })
}

variable "key_arn" {
  description = "KMS key of definition, input and history."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of the log group."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the log, in days."
  type        = number
}

variable "log_level" {
  description = "Which events of an execution are logged: ALL, ERROR, FATAL or OFF. Execution data never is."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL", "OFF"], var.log_level)
    error_message = "log_level must be ALL, ERROR, FATAL or OFF: Step Functions knows no other."
  }
}
