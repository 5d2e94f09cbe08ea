"""Telling account holders what happens to their accounts, on other ways than the pages.

The audit stream queues messages (`gateway.store.audit`), which wait in the outbox until they were sent.
`office` runs a `worker` for each channel; it claims messages and hands them to `mail` or `webhook`,
which raise NotSent (`sending`) when they cannot. `letters` words them, from `languages/`.
"""
