# The variables of modules/sluicegate that the local run sets. Their types, checks and descriptions are in that module.

variable "region" {
  description = "AWS region of the installation."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "Prefix of the names of all resources."
  type        = string
  default     = "sluicegate"
}

variable "repositories" {
  description = "The enrolled repositories: id, full_name, clone_url and environments of modules/repository."
  type        = any
}

variable "lambda_zip" {
  description = "Path of the Lambdas' zips, where {step} stands for the name of the step."
  type        = string
}

variable "architecture" {
  description = "Processor of the Lambdas and of the built images: arm64 or x86_64."
  type        = string
  default     = "x86_64"
}

variable "registry_host" {
  description = "Host and port of the registry in images' names: the emulator's address, such as 127.0.0.1:4566."
  type        = string

  validation {
    condition     = can(regex("^[^/]+:[0-9]+$", var.registry_host))
    error_message = "registry_host must be <host>:<port> of the emulator, such as 127.0.0.1:4566: images are pushed to it."
  }
}

variable "forge_url" {
  description = "Base address of the forge's API."
  type        = string
}

variable "log_level" {
  description = "Log level of the Lambdas: error, warn, info or debug."
  type        = string
  default     = "info"
}

variable "runner" {
  description = "The runner, which the fake Batch starts: image (a name for it; nothing is pulled) and more environment variables."
  type        = any
  default     = {}
}

variable "build_image" {
  description = "Name of the image in which builds run; null for AWS's. The fake CodeBuild knows one with Rust."
  type        = string
  default     = null
}
