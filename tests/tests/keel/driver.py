"""Reads jobs for keel's breaker from its input, one JSON a line, and writes what came of each, one JSON a line."""

import collections
import inspect
import json
import sys
import time

from keel_circuit_breaker import CircuitBreaker, CircuitOpenError

NOW = 0.0
time.monotonic = lambda: NOW


def wait(eighths):
    """Times are eighths of a second, which floats add without rounding."""
    global NOW
    NOW += eighths / 8


class Eras:
    """A logger that counts how often each key's circuit was opened, opened again or closed."""

    def __init__(self):
        self.of = collections.Counter()

    def note(self, event, **fields):
        if event in ("circuit_opened", "circuit_closed"):
            self.of[fields["model_key"]] += 1

    info = warning = note


def program(job):
    """Calls that are admitted, held and settled. Says of each step whether a call was admitted, whether the result came
    late, after its circuit had been opened or closed, and the status of every key. Late results can be left out."""
    eras, held, seen = Eras(), [], []
    breaker = CircuitBreaker(logger=eras, **job["settings"])
    for what, *details in job["steps"]:
        admitted = late = None
        if what == "admit":
            [key] = details
            admitted = breaker.is_available(key)
            only_asked = job["one_at_a_time"] and any(key == other for other, _ in held)
            if admitted and not only_asked:
                held.append((key, eras.of[key]))
        elif what == "end" and held:
            call, how = details
            key, era = held.pop(call % len(held))
            late = era != eras.of[key] and how != "nothing"
            if not (late and job["without_late"]):
                record(breaker, key, how)
        elif what == "record":
            record(breaker, *details)
        elif what == "wait":
            wait(*details)
        seen.append([admitted, late, [breaker.get_status(key) for key in job["keys"]]])
    return seen


def record(breaker, key, how):
    if how == "success":
        breaker.record_success(key)
    elif how == "failure":
        breaker.record_failure(key)


def call(job):
    """Calls by the convenience wrapper that return, or raise."""
    breaker = CircuitBreaker()

    async def work(fails):
        if fails:
            raise ValueError("broken")
        return "fine"

    def run(fails):
        try:
            breaker.call(work, "key", fails).send(None)
        except StopIteration as done:
            return done.value
        except CircuitOpenError as error:
            return f"open: {error.key}"
        except ValueError as error:
            return f"failed: {error}"

    told = []
    for step in job["steps"]:
        if step == "wait":
            wait(8 * 120)
        else:
            told.append(run(step == "fail"))
    return told


def defaults(_job):
    parameters = inspect.signature(CircuitBreaker).parameters
    return {name: parameters[name].default for name in ("failure_threshold", "cooldown_seconds")}


WORK = {"program": program, "call": call, "defaults": defaults}

for line in sys.stdin.readlines():
    job = json.loads(line)
    NOW = 0.0
    print(json.dumps(WORK[job["do"]](job)))
