"""The API's description is valid, complete, and true of what the service answers."""

import re
from copy import deepcopy

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis.generation import GenerationMode

from oet_kernel.server.handlers.about import document
from oet_kernel.server.handlers.routes import routes
from tests.conftest import TOKEN, serve

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
METHODS = ("get", "post", "put", "patch", "delete")


def openapi():
    return document("openapi.yaml")


def referenced(node, schemas, found):
    """Collect the names of all schemas that a part of the description refers to, directly or not."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        name = value.rsplit("/", 1)[1] if key == "$ref" and "/schemas/" in value else None
        if name is not None and name not in found:
            found.add(name)
            referenced(schemas[name], schemas, found)
        referenced(value, schemas, found)
    return found


def without_undescribed_fields():
    """Give the description with the records of replies closed: clients accept more fields, these tests must not."""
    strict = deepcopy(openapi())
    schemas = strict["components"]["schemas"]
    asked = [one["requestBody"] for item in strict["paths"].values() for one in item.values() if "requestBody" in one]
    for name in schemas.keys() - referenced(asked, schemas, set()):
        if "properties" in schemas[name]:
            schemas[name].setdefault("additionalProperties", False)
    return strict


def test_description_is_valid_openapi_3_1():
    assert openapi()["openapi"].startswith("3.1")
    validate(openapi())


def test_description_has_every_route_and_method_and_no_other():
    served = set()
    for pattern, handler in routes("(ROOT)"):
        path = pattern.removeprefix("(ROOT)").removesuffix("/?").replace("([^/]+)", "{id}").replace("\\", "")
        served |= {(path, method) for method in METHODS if method in vars(handler)}
    described = {(path, method) for path, item in openapi()["paths"].items() for method in item if method in METHODS}
    assert served == described


def test_description_is_served_with_the_root_it_was_asked_at(server):
    served = server.http.get("/openapi.json").json()
    assert served["servers"] == [{"url": re.sub("localhost|127.0.0.1", server.http.base_url.host, server.url)}]
    assert served["paths"] == openapi()["paths"]


@pytest.fixture(scope="module")
def small_server(tmp_path_factory):
    """A service that refuses all but a few kernels: scripts of generated requests are not worth starting."""
    with serve(tmp_path_factory.mktemp("openapi"), "--OetApp.max_kernels=2", "--OetApp.history=5") as made:
        yield made


# imports what schemathesis would import, and pytest rewrite, amid a test: where a traceback is formatted meanwhile, as
# by a garbage collection, CPython 3.11 takes its own parser for broken (gh-106905)
schemathesis.openapi.from_dict(openapi())["/health"]["GET"].as_strategy()

OPERATIONS = [(path, method) for path, item in openapi()["paths"].items() for method in item if method in METHODS]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), [one for one in OPERATIONS if one[0] != "/stream"])
def test_service_answers_as_described_whatever_it_is_sent(small_server, path, method, mode):
    """No 5xx, no undocumented status or content type, and bodies that conform; for valid and for broken requests."""
    schema = schemathesis.openapi.from_dict({**without_undescribed_fields(), "servers": [{"url": small_server.url}]})
    operation = schema[path][method.upper()]
    checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]

    @settings(
        max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
    )
    @given(operation.as_strategy(generation_mode=mode))
    def check(case):
        case.call_and_validate(base_url=small_server.url, headers={"Authorization": f"token {TOKEN}"}, checks=checks)

    try:
        check()
    except Unsatisfiable:
        pytest.skip("nothing about this request can be broken")
