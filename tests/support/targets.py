"""What a target is made of, to be compared."""

from gateway.core.target import Target


def parts(target: Target | None) -> tuple[object, ...] | None:
    if target is None:
        return None
    where = (target.method, target.host, target.authority)
    return (*where, target.path, target.query, target.path_and_query, target.segments)
