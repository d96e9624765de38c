"""Profile `chatml`: ChatML, with tools as Qwen3 writes them, and nothing in a chat changed."""

from __future__ import annotations

from guild.profiles.definition import Profile

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

CONTROL_TOKENS = ("<|im_start|>", "<|im_end|>")

CHATML = Profile(
    name="chatml",
    chat_template=CHATML_TEMPLATE,
    description="ChatML in place of the model's own template; no <think> block but where a row brings one.",
    control_tokens=CONTROL_TOKENS,
)
