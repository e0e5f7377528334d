"""Reads answers with the SDK `anthropic`, and says in JSON what it made of them."""

import anthropic
import httpx2
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse

import wire

MODELS = {"whole": Message, "event": RawMessageStreamEvent, "error": ErrorResponse}


def client(base_url, tee):
    return anthropic.Anthropic(
        base_url=base_url,
        api_key="a key that nobody checks",
        max_retries=0,
        timeout=wire.SECONDS,
        http_client=anthropic.DefaultHttpxClient(transport=tee),
    )


def read(job):
    """Asks, whatever the answer is, and tells what came of it."""
    tee, said, error = wire.Tee(), None, None
    messages = client(job["base_url"], tee).messages
    question = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    try:
        if job["stream"]:
            with messages.stream(**question) as stream:
                for _ in stream:
                    said = stream.current_message_snapshot
        else:
            said = messages.create(**question)
        assert said is None or isinstance(said, Message), said
    # A connection that breaks in the middle of a stream is not told in a word of the SDK's own.
    except (anthropic.AnthropicError, httpx2.HTTPError) as cause:
        error = wire.raised(cause)
    return {
        **wire.judge(tee.body, job["stream"] and (error is None or said is not None), MODELS),
        "said": None if said is None else describe(said),
        "error": error,
    }


def describe(message):
    def joined(kind):
        return "".join(getattr(block, kind) for block in message.content if block.type == kind)

    calls = [block for block in message.content if block.type == "tool_use"]
    usage = message.usage
    return {
        "text": joined("text"),
        "refusal": "" if message.stop_reason == "refusal" else None,
        "reasoning": joined("thinking"),
        "calls": [[call.id, call.name, call.input] for call in calls],
        "finish": message.stop_reason,
        "stop_sequence": message.stop_sequence,
        "usage": None if usage is None else usage.model_dump(),
        "model": message.model,
    }
