"""The operators' API described in OpenAPI 3.1, from the same tables and models that answer."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.admin.endpoints import Endpoint, Probe
from gateway.admin.orders import ORDERS, Body
from gateway.core.reasons import Reason
from gateway.web.problems import PROBLEM_TYPE, status_of, title_of

_EVERYWHERE = (Reason.INVALID_TOKEN, Reason.INSUFFICIENT_SCOPE, Reason.STORE_UNAVAILABLE)
_SCHEMAS = "#/components/schemas/"
_TEXT = {"type": "string"}
_FAULT = {
    "type": "object",
    "properties": {"field": _TEXT, "message": _TEXT},
    "required": ["field", "message"],
    "additionalProperties": False,
}
_PROBLEM = {
    "description": "RFC 9457. `reason` is for programs, `detail` for people; `faults` come with a 422.",
    "type": "object",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "reason": _TEXT,
        "detail": _TEXT,
        "faults": {"type": "array", "items": _FAULT},
    },
    "required": ["type", "title", "status", "reason"],
    "additionalProperties": False,
}

Json = dict[str, Any]


def describe(endpoints: Iterable[Endpoint[Any]], probes: Iterable[Probe]) -> Json:
    """The OpenAPI document of these endpoints and probes."""
    endpoints, probes = tuple(endpoints), tuple(probes)
    paths: Json = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    for probe in probes:
        paths[probe.path] = {"get": _probe(probe)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Watchword operators' API", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": _schemas(endpoints, probes),
            "securitySchemes": {"operator": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(endpoint: Endpoint[Any]) -> Json:
    answer = _ref(endpoint.answer.__name__)
    schema = {"type": "array", "items": answer} if endpoint.many else answer
    described: Json = {
        "operationId": endpoint.operation.__name__,
        "summary": endpoint.summary,
        "security": [{"operator": [endpoint.scope]}],
        "responses": {"200": _response("Done", "application/json", schema), **_problems(endpoint)},
    }
    if endpoint.pending:
        unfinished = _response("Not certain yet", "application/json", _ref(endpoint.pending.__name__))
        described["responses"]["202"] = unfinished
    if parameters := _parameters(endpoint):
        described["parameters"] = parameters
    if endpoint.takes:
        schema = _body(endpoint.takes)
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _probe(probe: Probe) -> Json:
    responses = {}
    for status, answer in probe.answers.items():
        media, schema = (
            (answer, {}) if isinstance(answer, str) else ("application/json", _ref(answer.__name__))
        )
        responses[str(status)] = _response("Yes" if status == 200 else "No", media, schema)
    return {
        "operationId": probe.respond.__name__,
        "summary": probe.summary,
        "security": [],
        "responses": responses,
    }


def _problems(endpoint: Endpoint[Any]) -> Json:
    titles: dict[str, list[str]] = {}
    for reason in (*_EVERYWHERE, *endpoint.refusals):
        titles.setdefault(str(status_of(reason)), []).append(title_of(reason))
    return {
        status: _response("; or: ".join(told), PROBLEM_TYPE, _ref("Problem"))
        for status, told in titles.items()
    }


def _parameters(endpoint: Endpoint[Any]) -> list[Json]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    return in_path + [
        {"name": name, "in": "query", "schema": schema} for name, schema in endpoint.query.items()
    ]


def _body(takes: tuple[type[Body], ...]) -> Json:
    if len(takes) == 1:
        return _ref(takes[0].__name__)
    references = {scope: _SCHEMAS + order.__name__ for scope, order in ORDERS.items()}
    return {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "scope", "mapping": references},
    }


def _response(description: str, media: str, schema: Json) -> Json:
    return {"description": description, "content": {media: {"schema": schema}}}


def _ref(name: str) -> Json:
    return {"$ref": _SCHEMAS + name}


def _schemas(endpoints: Iterable[Endpoint[Any]], probes: Iterable[Probe]) -> Json:
    answers = {endpoint.answer for endpoint in endpoints}
    answers |= {endpoint.pending for endpoint in endpoints if endpoint.pending}
    answers |= {
        answer for probe in probes for answer in probe.answers.values() if not isinstance(answer, str)
    }
    _, described = models_json_schema(
        [
            *((answer, "serialization") for answer in sorted(answers, key=lambda model: model.__name__)),
            *((body, "validation") for body in dict.fromkeys(b for e in endpoints for b in e.takes)),
        ],
        ref_template=_SCHEMAS + "{model}",
    )
    return {**described["$defs"], "Problem": _PROBLEM}
