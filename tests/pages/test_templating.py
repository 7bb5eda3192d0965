"""What is filled in when a template is compiled."""

from collections import Counter

from jinja2 import DictLoader, StrictUndefined

from app.pages.templating import Templates, fill

FILES = {
    "page": "{% include 'part' %}{% for n in (1, 2) %}{% include 'part' %}{% endfor %}",
    "part": "{{ _('Rows & more') }}{{ asset('a.css') }}{{ value }}",
    "tree": "({% if depth %}{% set depth = depth - 1 %}{% include 'tree' %}{% endif %})",
    "values": "{{ _('Rows') }}{{ _(word) }}{{ count(1, more=2) }}",
    "late": "{% include name %}{% include 'nothing' ignore missing %}",
}


def make(called: Counter[str]) -> Templates:
    def count(name: str) -> str:
        called[name] += 1
        return fill(name)

    constants = {"_": count, "asset": count}
    environment = Templates(
        constants, loader=DictLoader(FILES), autoescape=True, undefined=StrictUndefined
    )
    environment.globals |= {"_": str.upper, "count": lambda one, more: one + more}
    return environment


def test_messages_and_included_templates_are_found_once() -> None:
    called: Counter[str] = Counter()
    template = make(called).get_template("page")
    found = dict(called)
    assert set(found) == {"Rows & more", "a.css"}
    for value in ("<b>", "2"):
        shown = template.render(value=value)
        assert shown.count("Rows & morea.css") == 3  # our own words are markup
        assert "<b>" not in shown
    assert dict(called) == found


def test_what_is_not_known_yet_is_found_when_it_is_shown() -> None:
    environment = make(Counter())
    assert environment.get_template("values").render(word="x") == "RowsX3"
    assert environment.get_template("tree").render(depth=2) == "((()))"
    shown = environment.get_template("late").render(name="part", value=1)
    assert shown == "Rows & morea.css1"


def test_two_percent_signs_are_one_as_everywhere_in_messages() -> None:
    assert fill("100%%") == "100%"
