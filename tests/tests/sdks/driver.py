"""Reads jobs from its input, one JSON a line, and writes what came of each, one JSON a line."""

import json
import sys

import anthropic_sdk
import openai_sdk
import talk_anthropic
import talk_openai

READ = {"openai": openai_sdk.read, "anthropic": anthropic_sdk.read}
TALK = {"openai": talk_openai.talk, "anthropic": talk_anthropic.talk}

for line in sys.stdin.readlines():
    job = json.loads(line)
    work = (READ if job["do"] == "read" else TALK)[job["vendor"]]
    print(json.dumps(work(job), default=str), flush=True)
