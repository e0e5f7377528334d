"""Reads answers with the SDK `openai`, and says in JSON what it made of them."""

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject
from pydantic import BaseModel

import wire


class Envelope(BaseModel):
    """The SDK has a type for what is in the envelope of an error, and none for the envelope."""

    error: ErrorObject


MODELS = {"whole": ChatCompletion, "event": ChatCompletionChunk, "error": Envelope}


def client(base_url, tee):
    return openai.OpenAI(
        base_url=base_url + "/v1",
        api_key="a key that nobody checks",
        max_retries=0,
        timeout=wire.SECONDS,
        http_client=openai.DefaultHttpxClient(transport=tee),
    )


def read(job):
    """Asks, whatever the answer is, and tells what came of it."""
    tee, state, said, error, elsewhere = wire.Tee(), ChatCompletionStreamState(), None, None, None
    ask = client(job["base_url"], tee).chat.completions.create
    question = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    try:
        if job["stream"]:
            for chunk in ask(**question, stream=True, stream_options={"include_usage": True}):
                assert isinstance(chunk, ChatCompletionChunk), chunk
                state.handle_chunk(chunk)
                said = state.current_completion_snapshot
                # Groq's own place for the usage of a stream, where nobody has asked for it.
                elsewhere = ((chunk.model_extra or {}).get("x_groq") or {}).get("usage") or elsewhere
        else:
            said = ask(**question)
            assert isinstance(said, ChatCompletion), said
    except openai.OpenAIError as cause:
        error = wire.raised(cause)
    return {
        **wire.judge(tee.body, job["stream"] and (error is None or said is not None), MODELS),
        "said": None if said is None else describe(said, elsewhere),
        "error": error,
    }


def describe(completion, usage=None):
    [choice] = completion.choices
    message = choice.message
    more = message.model_extra or {}
    calls = message.tool_calls or []
    return {
        "text": message.content,
        "refusal": message.refusal,
        # Not OpenAI's own: the hosts that have it each add one of these.
        "reasoning": more.get("reasoning_content") or more.get("reasoning"),
        "calls": [[call.id, call.function.name, call.function.arguments] for call in calls],
        "finish": choice.finish_reason,
        "usage": usage if completion.usage is None else completion.usage.model_dump(),
        "model": completion.model,
    }
