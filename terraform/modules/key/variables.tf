variable "account" {
  description = "Where the resources live: partition (aws), account id (12 digits) and region. ARNs are built from it."
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
  description = "What the key protects, in one sentence."
  type        = string
}

variable "deletion_window_days" {
  description = "Days between the deletion of the key and its end, 7 to 30."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days must lie between 7 and 30: KMS accepts nothing else."
  }
}

variable "service_grants" {
  description = "AWS services that use the key in their own name, each with the condition that ties the use to this account."
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
