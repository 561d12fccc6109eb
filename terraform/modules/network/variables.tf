variable "account" {
  description = "The account of the resources: partition (aws), account id (12 digits) and region, of which ARNs are built."
  type = object({
    partition = string
    id        = string
    region    = string
  })
}

variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "cidr" {
  description = "Address range of the network, /16 to /24. It contains two subnets."
  type        = string
  default     = "10.86.0.0/20"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 1)) && try(tonumber(split("/", var.cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.cidr)[1]), 99) <= 24
    error_message = "cidr must be an IPv4 range from /16 to /24, such as 10.86.0.0/20."
  }
}

variable "zones" {
  description = "Two availability zones of the region."
  type        = list(string)

  validation {
    condition     = length(var.zones) == 2
    error_message = "zones must have two entries, one for each subnet."
  }
}

variable "log_key_arn" {
  description = "KMS key of the flow log."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the flow log, in days."
  type        = number
}
