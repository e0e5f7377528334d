"""Measures one of keel's strategies over models that answer at once. Its argument says which. It reads `run 100` or
`check 100` from its input, one a line, and writes how many nanoseconds 100 calls took, or whether each did what it
should."""

import asyncio
import sys
import time

from keel_llm_protocol import AdapterResponse, TransientError, Usage, user
from keel_llm_reliability import InProcessBreaker, Request, ResilientClient

REQUEST = Request(messages=[user("Why is the sky blue?")])


class Model:
    """Answers at once, or says at once that it is overloaded. Attributes in place of properties: they are quicker."""

    capabilities = frozenset()

    def __init__(self, key, overloaded=False):
        self.model_key = key
        self.overloaded = overloaded

    async def generate(self, messages, *, temperature=None, max_tokens=None, stop=None, response_format=None):
        if self.overloaded:
            raise TransientError("try again later", model_key=self.model_key)
        return AdapterResponse("Rayleigh.", self.model_key, "model", usage=Usage(12, 3))


def models(count):
    return [Model(f"provider/model-{number}") for number in range(count)]


def answered(attempts):
    """Whether a failover has had so many attempts and an answer."""
    return lambda result: len(result.attempts) == attempts and result.succeeded


def row(name):
    """What is called, with what, and whether its result is right."""
    if name == "call":
        [model] = models(1)
        return model.generate, REQUEST.messages, lambda response: response.text
    if name == "happy":
        return ResilientClient(models(3)).failover, REQUEST, answered(1)
    if name == "one-failover":
        first, *others = models(3)
        first.overloaded = True
        # Its circuit stays closed.
        breaker = InProcessBreaker(failure_threshold=2**62)
        return ResilientClient([first, *others], breaker=breaker).failover, REQUEST, answered(2)
    count = int(name.removeprefix("fan-out-"))
    return ResilientClient(models(count)).fan_out, REQUEST, lambda result: len(result.successes) == count


async def main(name):
    call, argument, right = row(name)
    for line in sys.stdin:
        what, times = line.split()
        if what == "check":
            print(all([right(await call(argument)) for _ in range(int(times))]), flush=True)
            continue
        start = time.perf_counter_ns()
        for _ in range(int(times)):
            await call(argument)
        print(time.perf_counter_ns() - start, flush=True)


asyncio.run(main(*sys.argv[1:]))
