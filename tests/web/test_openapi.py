"""The API's own description holds together."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from openami.web.app import TAGS


@pytest.fixture
async def document(viewer: httpx.AsyncClient) -> dict[str, Any]:
    answer = await viewer.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


async def test_every_reference_resolves(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    found = list(references(document))
    assert len(found) > 50
    for reference in found:
        assert resolve(document, reference), reference


async def test_every_operation_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in TAGS}
    ids = []
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        ids.append(operation["operationId"])
        assert operation["description"].strip(), where
        assert set(operation["tags"]) <= tags, where
        assert re.findall(r"{(\w+)}", path) == [
            p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"
        ], where
    assert len(ids) == len(set(ids))
    assert {tag for _, _, o in operations(document) for tag in o["tags"]} == tags


async def test_every_error_has_the_one_form(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status < "400" or path == "/health":
                continue
            schema = answer["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
    detail = document["components"]["schemas"]["ErrorDetail"]
    assert set(detail["properties"]) == {"code", "message", "hint"}


async def test_examples_are_there(document: dict[str, Any]) -> None:
    text = str(document)
    for example in ("meter-A1000001", "1.0.1.29.0.255", "store.not-found"):
        assert example in text, example


async def test_both_ways_to_log_in_are_named(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"apiKey", "http"}
    overview = document["paths"]["/api/v1/overview"]["get"]
    assert {name for item in overview["security"] for name in item} == set(schemes)
