"""The policy language: what each request to each app needs.

`model`     the frozen values that everything else uses
`document`  the YAML shape, as pydantic models: unknown keys are faults
`loading`   documents -> a `PolicySet`, or every fault at once
`patterns`  path and host patterns, and the trie that matches them
`shadowing` rules that can never match
`matching`  a target (and the groups of who asks) -> the `Match` that applies
`explaining` the same, with the reason why each earlier rule did not match
"""
