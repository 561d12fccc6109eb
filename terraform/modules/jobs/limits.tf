# What the validations in variables.tf read. This file declares no resource: check.sh tests both without a provider.

locals {
  # Batch never retries an apply: the state machine decides what follows.
  attempts = { plan = 2, apply = 1 }

  fargate_memory_mb = {
    "0.25" = [512, 1024, 2048]
    "0.5"  = range(1024, 4097, 1024)
    "1"    = range(2048, 8193, 1024)
    "2"    = range(4096, 16385, 1024)
    "4"    = range(8192, 30721, 1024)
    "8"    = range(16384, 61441, 4096)
    "16"   = range(32768, 122881, 8192)
  }
}
