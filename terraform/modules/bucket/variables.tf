variable "account" {
  description = "Where the resources live: partition (aws), account id (12 digits) and region. ARNs are built from it."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Name of the bucket, unique in the world."
  type        = string

  validation {
    condition     = length(var.name) >= 3 && length(var.name) <= 63
    error_message = "A bucket's name has 3 to 63 characters: shorten var.name of the top module."
  }
}

variable "key_arn" {
  description = "KMS key of the objects; null uses the key of S3, which access logs need."
  type        = string
  default     = null
}

variable "log_bucket" {
  description = "Bucket that receives the access log; null for the log bucket itself."
  type        = string
  default     = null

  validation {
    condition     = var.receives_access_logs != (var.log_bucket != null)
    error_message = "log_bucket must be set, except for the bucket that receives the logs itself."
  }
}

variable "receives_access_logs" {
  description = "Whether S3 may write the access logs of this account's other buckets here."
  type        = bool
  default     = false
}

variable "force_destroy" {
  description = "Whether destroying the bucket may destroy its objects as well."
  type        = bool
  default     = false
}

variable "expirations" {
  description = "What expires: objects below a prefix, or with a tag, after so many days."
  type = list(object({
    id     = string
    prefix = optional(string, "")
    tag    = optional(object({ key = string, value = string }))
    days   = number
  }))
  default = []

  validation {
    condition     = alltrue([for expiration in var.expirations : expiration.days >= 1 && floor(expiration.days) == expiration.days])
    error_message = "days of expirations must be whole numbers, at least 1: S3 accepts nothing else."
  }
}

variable "noncurrent_days" {
  description = "Days that a replaced or deleted version of an object is kept."
  type        = number
  default     = 365

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number, at least 1: with 0 a mistaken delete could not be undone."
  }
}

variable "object_lock_days" {
  description = "Days that a new object can be neither changed nor deleted (governance mode); null for no lock. Only a new bucket can get one."
  type        = number
  default     = null

  validation {
    condition     = var.object_lock_days == null || try(var.object_lock_days >= 1 && floor(var.object_lock_days) == var.object_lock_days, false)
    error_message = "object_lock_days must be null or a whole number, at least 1: S3 accepts nothing else."
  }
}
