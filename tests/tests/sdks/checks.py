"""What the conversations with both vendors share: a picture, a tool, and a list of checks that are tried in turn."""

import traceback

from pydantic import BaseModel

# One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

WHERE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Weather(BaseModel):
    """The shape that an answer is asked for in."""

    city: str
    degrees: int


def tried(checks, *given):
    """Runs every check with what is given; what failed, by its name, and none stops the others."""
    results = []
    for check in checks:
        failed = None
        try:
            check(*given)
        except Exception:
            failed = traceback.format_exc()
        results.append({"check": check.__name__.replace("_", " "), "failed": failed})
    return results


def raises(kind, act):
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"nobody raised {kind.__name__}")
