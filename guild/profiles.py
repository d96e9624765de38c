"""Profiles: how a chat becomes text. The registry is closed; an unknown name is an error, never a fallback."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from core.errors import InvalidInput

CHATML_TEMPLATE = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages and messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] + '\n\n' }}
    {%- endif %}
    {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' }}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' }}
    {%- for tool in tools %}
        {{- '\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within ' }}
    {{- '<tool_call></tool_call> XML tags:\n<tool_call>\n' }}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- set role = message['role'] %}
    {%- if role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1]['role'] != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + message['content'] + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- elif role == 'assistant' and ('tool_calls' in message or 'reasoning_content' in message) %}
        {%- set content = message['content'] or '' %}
        {{- '<|im_start|>assistant\n' }}
        {%- if message['reasoning_content'] %}
            {%- set content = content.lstrip('\n') %}
            {{- '<think>\n' + message['reasoning_content'].strip('\n') + '\n</think>\n\n' }}
        {%- endif %}
        {{- content }}
        {%- for tool_call in message['tool_calls'] or [] %}
            {%- set call = tool_call['function'] or tool_call %}
            {%- if content or not loop.first %}
                {{- '\n' }}
            {%- endif %}
            {{- '<tool_call>\n{"name": "' + call['name'] + '", "arguments": ' }}
            {{- call['arguments'] if call['arguments'] is string else call['arguments'] | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif not (tools and loop.first and role == 'system') %}
        {{- '<|im_start|>' + role + '\n' + message['content'] + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}"""
"""ChatML (spec 1.18), with tools as Qwen3 writes them.

Unlike Qwen3's own template it puts no `<think>` block around answers (failure D3): one is written where the row itself
brings reasoning along, and it stays there in later turns too.
"""


@dataclass(frozen=True)
class Profile:
    """One way to render chats."""

    name: str
    chat_template: str | None
    """Jinja source that replaces the model's own template; None keeps the model's own."""
    description: str
    control_tokens: tuple[str, ...] = ()
    """Tokens of the template that the tokenizer must know as single tokens."""


_PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="chatml",
            chat_template=CHATML_TEMPLATE,
            description="ChatML in place of the model's own template; no <think> block but where a row brings one.",
            control_tokens=("<|im_start|>", "<|im_end|>"),
        ),
        Profile(
            name="native",
            chat_template=None,
            description="The chat template that the model brings along, unchanged.",
        ),
    )
}


def profile_names() -> list[str]:
    """Names of all profiles, in alphabetical order."""
    return sorted(_PROFILES)


def get_profile(name: str) -> Profile:
    """The profile of that name; raises `InvalidInput` naming the known ones (failure D12)."""
    try:
        return _PROFILES[name]
    except KeyError:
        close = difflib.get_close_matches(name, _PROFILES, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"The profiles are {', '.join(profile_names())}."
        raise InvalidInput(f"There is no profile named {name!r}.", hint=hint) from None
