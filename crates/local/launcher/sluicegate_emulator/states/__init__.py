"""Step Functions: the parts of the interpreter in which MiniStack differs from AWS.

MiniStack keeps the records, the queries, the JSONata and JSONPath evaluation, and the service integrations. This
package replaces what runs and stops a state: `run` (an execution and one level of states), `task` (one task state),
`fan_out` (Parallel and Map), `retry`, and the API rules in `api`.
"""
