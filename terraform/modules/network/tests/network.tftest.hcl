mock_provider "aws" {}

run "only_https_leaves_the_network" {
  command = plan

  override_resource {
    target          = aws_vpc.this
    override_during = plan
    values          = { id = "vpc-0123456789abcdef0" }
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.https.from_port == 443 && aws_vpc_security_group_egress_rule.https.to_port == 443
    error_message = "The security group must allow HTTPS only."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.this : !subnet.map_public_ip_on_launch])
    error_message = "Subnets must not assign public addresses; Batch assigns them to jobs."
  }

  assert {
    condition     = aws_subnet.this["eu-central-1a"].cidr_block == "10.86.0.0/24" && aws_subnet.this["eu-central-1b"].cidr_block == "10.86.1.0/24"
    error_message = "The subnets must be the first two ranges of the network."
  }
}
