"""Answers a GraphQL request: body in, answer out. Errors are as the network's gateways give them
(status 200, `errors`, and `data` null)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.parser import parse
from aoshell.serve.graphql.selecting import TYPE_NAME, Selected, select

# A Resolver finds what a field of the query asks for, and returns a Giver. A Giver returns the
# value: a dict with all fields that are asked for, a scalar, or None. Both raise GraphqlError.
Giver: TypeAlias = Callable[[], Awaitable[Any]]
Resolver: TypeAlias = Callable[[Selected], Awaitable[Giver]]


async def execute(body: Any, resolve: Resolver) -> dict[str, Any]:
    """The answer to a request; `body` is the request's JSON value."""
    try:
        fields = await asyncio.to_thread(_selected, body)
        # Find everything before reading anything: a query for too much is refused in between.
        givers = {
            key: await resolve(field) for key, field in fields.items() if field.name != TYPE_NAME
        }
        data = {}
        for key, field in fields.items():
            value = await givers[key]() if key in givers else None
            data[key] = project(field, value)
        return {"data": data}
    except GraphqlError as error:
        return {"errors": [error.form], "data": None}


def project(field: Selected, value: Any) -> Any:
    """The requested part of a field's value."""
    if field.name == TYPE_NAME:
        return field.type
    if value is None or not field.fields:
        return value
    if field.value_type.many:
        return [_object(field, one) for one in value]
    return _object(field, value)


def _object(field: Selected, value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: project(below, value.get(below.name)) for key, below in field.fields.items()}


def _selected(body: Any) -> dict[str, Selected]:
    if not isinstance(body, dict):
        raise GraphqlError("The request is no JSON object with a query.")
    query, variables = body.get("query"), body.get("variables")
    operation = body.get("operationName")
    if not isinstance(query, str):
        raise GraphqlError("Must provide query string.")
    if not isinstance(variables, dict | None):
        raise GraphqlError("Variables must be provided as an Object.")
    if not isinstance(operation, str | None):
        raise GraphqlError("The name of the operation is no string.")
    return select(parse(query), operation or "", variables or {})
