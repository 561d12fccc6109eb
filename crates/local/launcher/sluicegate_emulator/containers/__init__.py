"""ECS tasks as containers: the Docker engine, ECR's addresses, services that roll, load balancers that answer.

Without an engine ECS stays what MiniStack makes of it: a control plane whose deployments complete at once.
"""
