"""The template environment behaves like the one in transformers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jinja2
import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from arena.language.chat_templates import compile_template

MESSAGES = [{"role": "user", "content": "Grüße <b>"}, {"role": "assistant", "content": "🙂"}]

TEMPLATES = {
    "blocks are trimmed": (
        "{% for m in messages %}\n    {% if m.role == 'user' %}\n  {{ m.content }}\n  {% endif %}\n{% endfor %}\nend\n"
    ),
    "break and continue": (
        "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.content }}{% break %}{% endfor %}"
    ),
    "tojson keeps text": (
        "{{ messages | tojson }} {{ messages | tojson(indent=2) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}"
    ),
    "generation blocks": (
        "{% for m in messages %}{% generation %}\n{% set x = 1 %}[{{ m.content }}]{% endgeneration %}{{ x }}"
        "{% endfor %}"
    ),
    "namespace and dict": (
        "{% set ns = namespace(self=1, n=0) %}{% set ns.n = dict(a=2)['a'] %}{{ ns.n + ns.self }}"
        "{{ dict.fromkeys('ab') }}"
    ),
    "undefined names": "[{{ tools }}][{{ documents }}][{{ nothing }}][{{ add_generation_prompt }}]",
}


def ours(source: str) -> str:
    return compile_template(source).render(messages=MESSAGES, tools=None, documents=None, add_generation_prompt=False)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_renders_as_in_transformers(name: str) -> None:
    source = TEMPLATES[name]
    theirs: Any = render_jinja_template([MESSAGES], chat_template=source)
    assert ours(source) == theirs[0][0]


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% set ns = namespace(_x=1) %}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}",
        "{{ dict.__base__.__subclasses__() }}",
    ],
)
def test_what_a_template_may_not_do_fails_as_in_transformers(source: str) -> None:
    with pytest.raises(jinja2.TemplateError) as theirs:
        render_jinja_template([MESSAGES], chat_template=source)
    with pytest.raises(type(theirs.value)):
        ours(source)


def test_the_time_that_a_template_shows_comes_from_the_clock() -> None:
    noon = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
    assert compile_template("{{ strftime_now('%d %b %Y %H') }}", clock=lambda: noon).render() == "21 Nov 2026 12"
