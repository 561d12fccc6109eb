variable "environment" {
  description = "Name of the environment, as in sluicegate.yaml."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment is part of resource names: 2 to 16 lower-case letters, digits or hyphens, a letter first."
  }
}

variable "data" {
  description = "Outputs of the stack `data`."
  type = object({
    table_name = string
    table_arn  = string
  })
}

variable "cidr" {
  description = "Address range of the network. Two subnets are cut out of it."
  type        = string
  default     = "10.20.0.0/24"

  validation {
    condition     = can(cidrsubnet(var.cidr, 2, 3))
    error_message = "cidr is an IPv4 range with room for two subnets, such as 10.20.0.0/24."
  }
}

variable "certificate_arn" {
  description = "ACM certificate for HTTPS; null serves HTTP only. The certificate's name has to point to the load balancer."
  type        = string
  default     = null
}

variable "cpu_architecture" {
  description = "What the image was built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture is X86_64 or ARM64."
  }
}
