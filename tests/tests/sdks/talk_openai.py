"""Conversations of the SDK `openai` with the simulator, each asking as its users do."""

import asyncio
import json

import openai
from openai.types import Model
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionMessageFunctionToolCall,
    ParsedChatCompletion,
)

import openai_sdk
import wire
from checks import PNG, WHERE, Weather, raises, tried

TOOL = {"type": "function", "function": {"name": "weather", "parameters": WHERE}}
HI = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
OSLO = 'tool-call=weather,{"city": "Oslo"}'
RAIN = '{"city": "Oslo", "degrees": 7}'


def talk(job):
    return tried(CHECKS, Asker(job["base_url"]))


class Asker:
    """A client whose every answer is held to the SDK's types."""

    def __init__(self, base_url):
        self.base_url, self.tee = base_url, wire.Tee()
        self.client = openai_sdk.client(base_url, self.tee)
        self.completions = self.client.chat.completions

    def create(self, model="gpt-x", messages=HI, **more):
        completion = self.completions.create(model=model, messages=messages, **more)
        assert isinstance(completion, ChatCompletion), completion
        self.judge(False)
        return completion.choices[0]

    def chunks(self, model="gpt-x", messages=HI, **more):
        chunks = list(self.completions.create(model=model, messages=messages, stream=True, **more))
        assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks), chunks
        self.judge(True)
        return chunks

    def judge(self, streamed):
        told = wire.judge(self.tee.body, streamed, openai_sdk.MODELS)
        assert told == {"invalid": [], "strange": []}, told


def a_plain_answer(ask):
    limits = {"temperature": 0.5, "max_completion_tokens": 9}
    completion = ask.completions.create(model="gpt-x!text=Grüß dich", messages=HI, **limits)
    [choice] = completion.choices
    assert isinstance(choice.message, ChatCompletionMessage)
    assert (choice.message.content, choice.finish_reason) == ("Grüß dich", "stop")
    assert completion.model == "gpt-x" and completion.id.startswith("chatcmpl-")
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion._request_id.startswith("req_")
    ask.judge(False)


def a_stream_with_and_without_usage(ask):
    chunks = ask.chunks("gpt-x!text=One two three")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "One two three"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)
    *others, last = ask.chunks("gpt-x!usage=18,27", stream_options={"include_usage": True})
    assert last.choices == [] and last.usage.total_tokens == 45
    assert all(chunk.usage is None for chunk in others)


def the_helper_for_streams(ask):
    with ask.completions.stream(model="gpt-x!text=One two", messages=HI) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert kinds == {"chunk", "content.delta", "content.done"}, kinds
    assert isinstance(final, ParsedChatCompletion) and final.choices[0].message.content == "One two"


def a_tool_call_and_its_result(ask):
    choice = ask.create(f"gpt-x!text=Let me look.!{OSLO}", tools=[TOOL], parallel_tool_calls=False)
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
    [call] = choice.message.tool_calls
    assert isinstance(call, ChatCompletionMessageFunctionToolCall) and call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain"}
    choice = ask.create("gpt-x!text=It rains.", [*HI, choice.message, result], tools=[TOOL])
    assert choice.message.content == "It rains."


def tool_calls_in_parallel_and_their_results(ask):
    choice = ask.create(f"gpt-x!{OSLO}!tool-call=now", tools=[TOOL])
    calls = choice.message.tool_calls
    assert choice.message.content is None and [call.function.name for call in calls] == ["weather", "now"]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": "Rain"}]} for call in calls
    ]
    spoken = choice.message.model_dump(exclude_none=True)
    assert ask.create("gpt-x", [*HI, spoken, *results], tools=[TOOL]).finish_reason == "stop"


def a_tool_that_the_sdk_reads_the_arguments_of(ask):
    tool = openai.pydantic_function_tool(Weather, name="weather")
    model = f"gpt-x!tool-call=weather,{RAIN}"
    with ask.completions.stream(model=model, messages=HI, tools=[tool]) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    ask.judge(True)
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [Weather(city="Oslo", degrees=7)]
    [call] = final.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Weather(city="Oslo", degrees=7)


def a_tool_that_must_be_called(ask):
    choice = ask.create(tools=[TOOL], tool_choice="required")
    [call] = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and set(json.loads(call.function.arguments)) == {"city"}
    named = {"type": "function", "function": {"name": "weather"}}
    choice = ask.create(tools=[TOOL], tool_choice=named)
    assert (choice.finish_reason, choice.message.tool_calls[0].function.name) == ("stop", "weather")


def pictures(ask):
    def shown(url):
        picture = {"type": "image_url", "image_url": {"url": url}}
        return [{"role": "user", "content": [{"type": "text", "text": "What?"}, picture]}]

    for url in ["https://example.com/cat.png", f"data:image/png;base64,{PNG}"]:
        assert ask.create("gpt-x!text=A cat", shown(url)).message.content == "A cat"
    error = raises(openai.BadRequestError, lambda: ask.create("gpt-x", shown("data:image/png;base64,?")))
    assert error.type == "invalid_request_error" and "base64" in error.message, error


def an_answer_in_a_shape(ask):
    parsed = ask.completions.parse(model="gpt-x", messages=HI, response_format=Weather)
    ask.judge(False)
    assert isinstance(parsed.choices[0].message.parsed, Weather), "a model that follows the schema, unasked"
    parsed = ask.completions.parse(model=f"gpt-x!text={RAIN}", messages=HI, response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Oslo", degrees=7)
    with ask.completions.stream(model=f"gpt-x!text={RAIN}", messages=HI, response_format=Weather) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.degrees == 7
    schema = {"name": "where", "schema": WHERE, "strict": True}
    said = ask.create(response_format={"type": "json_schema", "json_schema": schema}).message.content
    assert set(json.loads(said)) == {"city"}
    asked = [{"role": "user", "content": "Say hi in JSON"}]
    said = ask.create("gpt-x", asked, response_format={"type": "json_object"}).message.content
    assert isinstance(json.loads(said), dict)


def an_answer_that_is_refused_cut_or_filtered(ask):
    parsed = ask.completions.parse(model="gpt-x!refusal=No", messages=HI, response_format=Weather)
    message = parsed.choices[0].message
    assert (message.refusal, message.content, message.parsed) == ("No", None, None)
    for finish, kind in [
        ("length", openai.LengthFinishReasonError),
        ("content_filter", openai.ContentFilterFinishReasonError),
    ]:
        model = f"gpt-x!finish={finish}"
        raises(kind, lambda: ask.completions.parse(model=model, messages=HI, response_format=Weather))
        assert ask.create(model).finish_reason == finish


def the_list_of_models(ask):
    page = ask.client.models.list()
    assert page.object == "list" and page.data and all(isinstance(model, Model) for model in page)
    for model in json.loads(ask.tee.body)["data"]:
        told = wire.objections(json.dumps(model), Model)
        assert told == ([], []), told


def a_request_that_cannot_be(ask):
    orphan = [*HI, {"role": "tool", "tool_call_id": "call_1", "content": "Rain"}]
    error = raises(openai.BadRequestError, lambda: ask.create("gpt-x", orphan))
    assert error.type == "invalid_request_error" and error.param and error.request_id.startswith("req_"), error.body
    error = raises(openai.BadRequestError, lambda: ask.create(temperature=3))
    assert (error.param, error.code) == ("temperature", "decimal_above_max_value"), error.body
    error = raises(openai.NotFoundError, lambda: ask.client.embeddings.create(model="e", input="x"))
    assert error.code == "unknown_url", error.body


def all_of_it_without_waiting(ask):
    async def both():
        settings = {"base_url": ask.base_url + "/v1", "api_key": "k", "max_retries": 0, "timeout": wire.SECONDS}
        async with openai.AsyncOpenAI(**settings) as client:
            whole = client.chat.completions.create(model="gpt-x!text=One", messages=HI)
            stream = await client.chat.completions.create(model="gpt-x!text=Two three", messages=HI, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return (await whole).choices[0].message.content, text

    assert asyncio.run(both()) == ("One", "Two three")


CHECKS = [
    a_plain_answer,
    a_stream_with_and_without_usage,
    the_helper_for_streams,
    a_tool_call_and_its_result,
    tool_calls_in_parallel_and_their_results,
    a_tool_that_the_sdk_reads_the_arguments_of,
    a_tool_that_must_be_called,
    pictures,
    an_answer_in_a_shape,
    an_answer_that_is_refused_cut_or_filtered,
    the_list_of_models,
    a_request_that_cannot_be,
    all_of_it_without_waiting,
]
