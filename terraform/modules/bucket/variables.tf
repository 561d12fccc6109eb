variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the bucket. It must be globally unique."
  type        = string

  validation {
    condition     = length(var.name) >= 3 && length(var.name) <= 63
    error_message = "The name of a bucket has 3 to 63 characters: use a shorter `name` for the installation."
  }
}

variable "key_arn" {
  description = "KMS key of the objects; null for S3's own key, which access logs require."
  type        = string
  default     = null
}

variable "log_bucket" {
  description = "Bucket that receives the access log; null for the log bucket itself."
  type        = string
  default     = null

  validation {
    condition     = var.receives_access_logs != (var.log_bucket != null)
    error_message = "log_bucket must be set, except for the bucket that receives the access logs."
  }
}

variable "receives_access_logs" {
  description = "Whether S3 may write the access logs of this account's other buckets here."
  type        = bool
  default     = false
}

variable "force_destroy" {
  description = "Whether a destroy deletes the bucket's objects too."
  type        = bool
  default     = false
}

variable "expirations" {
  description = "Objects that expire: by prefix or by tag, with the number of days."
  type = list(object({
    id     = string
    prefix = optional(string, "")
    tag    = optional(object({ key = string, value = string }))
    days   = number
  }))
  default = []

  validation {
    condition     = alltrue([for expiration in var.expirations : expiration.days >= 1 && floor(expiration.days) == expiration.days])
    error_message = "days of expirations must be whole numbers, at least 1."
  }
}

variable "noncurrent_days" {
  description = "Days for which noncurrent versions of an object are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number, at least 1, so that a deletion can be undone."
  }
}

variable "object_lock_days" {
  description = "Days for which a new object can be neither changed nor deleted (governance mode); null for no lock. Only a new bucket can have one."
  type        = number
  default     = null

  validation {
    condition     = var.object_lock_days == null || try(var.object_lock_days >= 1 && floor(var.object_lock_days) == var.object_lock_days, false)
    error_message = "object_lock_days must be null or a whole number, at least 1."
  }
}

variable "job_prefixes" {
  description = "What the roles of jobs may reach at most, with {repository} and {environment} for their tags: patterns of objects, and of prefixes to list. Empty for a bucket that jobs do not use."
  type = object({
    objects = list(string)
    lists   = list(string)
  })
  default = { objects = [], lists = [] }
}
