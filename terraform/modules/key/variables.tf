variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the key's alias, without `alias/`."
  type        = string
}

variable "description" {
  description = "What the key encrypts, in one sentence."
  type        = string
}

variable "deletion_window_days" {
  description = "Waiting period before AWS deletes the key, 7 to 30 days."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days must be from 7 to 30."
  }
}

variable "service_grants" {
  description = "AWS services that may use the key, each with the condition that limits the use to this account."
  type = list(object({
    sid     = string
    service = string
    actions = list(string)
    condition = object({
      test     = string
      variable = string
      values   = list(string)
    })
  }))
  default = []
}
