"""Keeps the bytes of answers as they came, and holds them to the types of a vendor's SDK, field by field."""

import functools
import json

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

SECONDS = 20


class Tee(httpx2.HTTPTransport):
    """A transport that remembers the body of the last answer. The SDKs themselves build their types from whatever
    comes, so that only the bytes show what is missing."""

    body = b""

    def handle_request(self, request):
        response = super().handle_request(request)
        self.body = b""
        response.stream = Heard(response.stream, self)
        return response


class Heard(httpx2.SyncByteStream):
    """The body of an answer, on its way to the SDK."""

    def __init__(self, stream, tee):
        self.stream, self.tee = stream, tee

    def __iter__(self):
        for piece in self.stream:
            self.tee.body += piece
            yield piece

    def close(self):
        self.stream.close()


@functools.cache
def adapter(model):
    return TypeAdapter(model)


def events(body):
    """The data of the events of a stream; what was cut in the middle of an event is none."""
    blocks = body.decode().replace("\r\n", "\n").split("\n\n")[:-1]
    lines = [[line[5:].strip() for line in block.split("\n") if line.startswith("data:")] for block in blocks]
    return [data for data in map("\n".join, lines) if data not in ("", "[DONE]")]


def objections(body, model):
    """What pydantic has against JSON as this model when it neither guesses nor forgives, and the fields that the
    model does not know."""
    try:
        value = adapter(model).validate_json(body, strict=True)
    except ValidationError as error:
        # Of a union every member is complained of; the text of all is for people.
        return [" ".join(str(error).split())], []
    return [], sorted(set(strange(value)))


def strange(value, path=""):
    """The names of the fields that a model has no name for."""
    if isinstance(value, BaseModel):
        yield from (path + name for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from strange(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, list):
        for item in value:
            yield from strange(item, path)


def judge(body, streamed, models):
    """Looks at a whole answer, a stream or an error; `models` says what each should be."""
    invalid, unknown = [], set()
    for data in events(body) if streamed else [body.decode()]:
        try:
            value = json.loads(data)
        except ValueError:
            invalid.append(f"no JSON: {data}")
            continue
        if value.get("type") == "ping":
            continue
        kind = "error" if "error" in value else "event" if streamed else "whole"
        wrong, more = objections(data, models[kind])
        invalid += wrong
        unknown.update(more)
    return {"invalid": invalid, "strange": sorted(unknown)}


def raised(error):
    """An exception of an SDK, in the words of that SDK."""
    told = {name: getattr(error, name, None) for name in ("status_code", "code", "error_code", "type", "param")}
    response = getattr(error, "response", None)
    return {
        **told,
        "class": type(error).__name__,
        "classes": [base.__name__ for base in type(error).__mro__],
        "message": str(error),
        "body": getattr(error, "body", None),
        "request_id": getattr(error, "request_id", None),
        "retry_after": None if response is None else response.headers.get("retry-after"),
    }
