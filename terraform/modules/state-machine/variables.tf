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
    error_message = "The file definition_file does not exist."
  }
}

variable "function_arns" {
  description = "ARNs of the Lambdas' aliases, by name with `_` instead of `-`. The placeholder of each is `<name>_arn`."
  type        = map(string)
}

variable "queue_arns" {
  description = "ARNs of the job queues, by kind of job."
  type        = object({ plan = string, apply = string })
}

variable "job_definition_arns" {
  description = "Pattern of the ARNs of the job definitions of all environments."
  type        = string
}

variable "build_project_arn" {
  description = "ARN of the CodeBuild projects, with * as wildcard: a repository that is enrolled later changes nothing here."
  type        = string
}

variable "key_arn" {
  description = "KMS key of the definition, the inputs and the history."
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
  description = "Events of executions to log: ALL, ERROR, FATAL or OFF. Execution data is never logged."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "ERROR", "FATAL", "OFF"], var.log_level)
    error_message = "log_level must be ALL, ERROR, FATAL or OFF."
  }
}
