"""Conversations of the SDK `anthropic` with the simulator, each asking as its users do."""

import asyncio
import json

import anthropic
from anthropic.types import (
    Message,
    ModelInfo,
    ParsedMessage,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)

import anthropic_sdk
import wire
from checks import PNG, WHERE, Weather, raises, tried

TOOL = {"name": "weather", "description": "Tells it", "input_schema": WHERE}
HI = [{"role": "user", "content": "Hi"}]
OSLO = 'tool-call=weather,{"city": "Oslo"}'
RAIN = '{"city": "Oslo", "degrees": 7}'
KEPT = {"type": "ephemeral", "ttl": "1h"}


def talk(job):
    return tried(CHECKS, Asker(job["base_url"]))


class Asker:
    """A client whose every answer is held to the SDK's types."""

    def __init__(self, base_url):
        self.base_url, self.tee = base_url, wire.Tee()
        self.client = anthropic_sdk.client(base_url, self.tee)
        self.messages = self.client.messages

    def create(self, model="claude-x", messages=HI, max_tokens=100, **more):
        message = self.messages.create(model=model, messages=messages, max_tokens=max_tokens, **more)
        assert isinstance(message, Message), message
        self.judge(False)
        return message

    def streamed(self, model="claude-x", messages=HI, max_tokens=100, **more):
        with self.messages.stream(model=model, messages=messages, max_tokens=max_tokens, **more) as stream:
            kinds = [event.type for event in stream]
            message = stream.get_final_message()
        assert isinstance(message, ParsedMessage) and isinstance(message, Message), message
        self.judge(True)
        return kinds, message

    def judge(self, streamed):
        told = wire.judge(self.tee.body, streamed, anthropic_sdk.MODELS)
        assert told == {"invalid": [], "strange": []}, told


def a_plain_answer(ask):
    message = ask.create("claude-x!text=Grüß dich", system="Be brief.", stop_sequences=["END"])
    [block] = message.content
    assert isinstance(block, TextBlock) and block.text == "Grüß dich"
    assert (message.stop_reason, message.stop_sequence, message.model) == ("end_turn", None, "claude-x")
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message.id.startswith("msg_") and message._request_id.startswith("req_")


def a_stream_of_events(ask):
    model = "claude-x!text=One two three"
    events = list(ask.messages.create(model=model, messages=HI, max_tokens=9, stream=True))
    ask.judge(True)
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def the_helper_for_streams(ask):
    with ask.messages.stream(model="claude-x!text=One two", messages=HI, max_tokens=9) as stream:
        assert "".join(stream.text_stream) == "One two"
        assert stream.get_final_text() == "One two" and stream.request_id.startswith("req_")
    kinds, message = ask.streamed("claude-x!usage=18,27,100,7")
    assert "text" in kinds and message.usage.output_tokens == 27
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (100, 7)


def a_tool_call_and_its_result(ask):
    for turn in [ask.create, lambda *given, **more: ask.streamed(*given, **more)[1]]:
        message = turn(f"claude-x!text=Let me look.!{OSLO}", tools=[TOOL])
        text, call = message.content
        assert isinstance(text, TextBlock) and isinstance(call, ToolUseBlock) and message.stop_reason == "tool_use"
        assert (call.name, call.input) == ("weather", {"city": "Oslo"}) and call.id.startswith("toolu_")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain"}
        said = [*HI, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
        assert turn("claude-x!text=It rains.", said, tools=[TOOL]).content[0].text == "It rains."


def tool_calls_in_parallel_and_their_results(ask):
    _, message = ask.streamed(f"claude-x!{OSLO}!tool-call=now", tools=[TOOL])
    assert [(call.name, call.input) for call in message.content] == [("weather", {"city": "Oslo"}), ("now", {})]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": [picture, {"type": "text", "text": "Rain"}]}
        for call in message.content
    ]
    failed = {**results[1], "content": "No clock", "is_error": True}
    said = [*HI, message.to_param(), {"role": "user", "content": [results[0], failed]}]
    assert ask.create("claude-x", said, tools=[TOOL]).stop_reason == "end_turn"


def a_tool_that_must_be_called(ask):
    for choice in [{"type": "any"}, {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}]:
        [call] = ask.create(tools=[TOOL], tool_choice=choice).content
        assert isinstance(call, ToolUseBlock) and set(call.input) == {"city"}


def pictures(ask):
    def shown(source):
        return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "What?"}]}]

    own = {"type": "base64", "media_type": "image/png", "data": PNG}
    for source in [own, {"type": "url", "url": "https://example.com/cat.png"}]:
        assert ask.create("claude-x!text=A cat", shown(source)).content[0].text == "A cat"
    raises(anthropic.BadRequestError, lambda: ask.create("claude-x", shown({**own, "data": "?"})))


def thinking_and_its_way_back(ask):
    thinks = {"type": "enabled", "budget_tokens": 1024}
    for turn in [ask.create, lambda *given, **more: ask.streamed(*given, **more)[1]]:
        model = f"claude-x!reasoning=Let me see!redacted=hush!{OSLO}"
        message = turn(model, max_tokens=2000, thinking=thinks, tools=[TOOL])
        shown, hidden, call = message.content
        assert isinstance(shown, ThinkingBlock) and shown.thinking == "Let me see" and shown.signature
        assert isinstance(hidden, RedactedThinkingBlock) and hidden.data
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain"}
        said = [*HI, {"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
        assert turn("claude-x", said, 2000, thinking=thinks, tools=[TOOL]).stop_reason == "end_turn"
        shown.thinking = "Let me not see"
        forged = lambda: turn("claude-x", said, 2000, thinking=thinks, tools=[TOOL])
        error = raises(anthropic.BadRequestError, forged)
        assert "signature" in error.message, error


def an_answer_in_a_shape(ask):
    parsed = ask.messages.parse(model="claude-x", messages=HI, max_tokens=100, output_format=Weather)
    ask.judge(False)
    assert isinstance(parsed.parsed_output, Weather), "a model that follows the schema, unasked"
    _, parsed = ask.streamed(f"claude-x!text={RAIN}", output_format=Weather)
    assert parsed.parsed_output == Weather(city="Oslo", degrees=7)
    message = ask.create(output_config={"format": {"type": "json_schema", "schema": WHERE}})
    assert set(json.loads(message.content[0].text)) == {"city"}


def marks_for_the_cache(ask):
    text = {"type": "text", "text": "Be brief.", "cache_control": KEPT}
    asked = [{"role": "user", "content": [{**text, "cache_control": {"type": "ephemeral"}}]}]
    model = "claude-x!usage=5,6,70,8!cached-for-an-hour"
    message = ask.create(model, asked, system=[text], tools=[{**TOOL, "cache_control": KEPT}])
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 8, message.usage
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (5, 70)


def an_answer_that_is_refused_cut_or_stopped(ask):
    for directive, reason in [
        ("refusal=No", "refusal"),
        ("finish=length", "max_tokens"),
        ("stop-sequence=END", "stop_sequence"),
    ]:
        for message in [ask.create(f"claude-x!{directive}"), ask.streamed(f"claude-x!{directive}")[1]]:
            assert message.stop_reason == reason, message
            assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)


def the_list_of_models(ask):
    page = ask.client.models.list()
    assert page.has_more is False and page.data and all(isinstance(model, ModelInfo) for model in page)
    for model in json.loads(ask.tee.body)["data"]:
        told = wire.objections(json.dumps(model), ModelInfo)
        assert told == ([], []), told


def a_request_that_cannot_be(ask):
    orphan = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain"}
    for messages in [[{"role": "user", "content": [orphan]}], [{"role": "user", "content": ""}]]:
        error = raises(anthropic.BadRequestError, lambda: ask.create("claude-x", messages))
        assert error.type == "invalid_request_error" and error.request_id.startswith("req_"), error.body
        assert error.body["request_id"] == error.request_id
    raises(anthropic.BadRequestError, lambda: ask.create(extra_body={"unheard_of": 1}))
    raises(anthropic.NotFoundError, lambda: ask.client.messages.batches.list())


def all_of_it_without_waiting(ask):
    async def both():
        settings = {"base_url": ask.base_url, "api_key": "k", "max_retries": 0, "timeout": wire.SECONDS}
        async with anthropic.AsyncAnthropic(**settings) as client:
            asked = {"messages": HI, "max_tokens": 9}
            whole = client.messages.create(model="claude-x!text=One", **asked)
            async with client.messages.stream(model="claude-x!text=Two three", **asked) as stream:
                text = "".join([text async for text in stream.text_stream])
            return (await whole).content[0].text, text

    assert asyncio.run(both()) == ("One", "Two three")


CHECKS = [
    a_plain_answer,
    a_stream_of_events,
    the_helper_for_streams,
    a_tool_call_and_its_result,
    tool_calls_in_parallel_and_their_results,
    a_tool_that_must_be_called,
    pictures,
    thinking_and_its_way_back,
    an_answer_in_a_shape,
    marks_for_the_cache,
    an_answer_that_is_refused_cut_or_stopped,
    the_list_of_models,
    a_request_that_cannot_be,
    all_of_it_without_waiting,
]
