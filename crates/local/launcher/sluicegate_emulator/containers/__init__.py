"""ECS tasks as containers: the Docker engine, ECR addresses, ECS rollouts, and working load balancers.

Without an engine, ECS stays MiniStack's control plane, whose deployments complete immediately.
"""
