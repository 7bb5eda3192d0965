"""What other rooms say of a mistake is said in the reader's language."""

import re

import httpx
import pytest
from babel.messages.pofile import read_po

from app.pages.languages import CATALOGUES
from app.pages.sentences import translate

CASES = {
    "limit: must be a whole number from 1 to 1000, not 'x'.": (
        "limit：必须是 1 到 1000 的整数，而不是 'x'。"
    ),
    "agee: there is no such parameter here. Did you mean 'age'?": (
        "agee：这里没有这个参数。您是不是想写 'age'？"
    ),
    "Input should be greater than or equal to 0 (what was sent: -1).": (
        "应不小于 0（收到的是：-1）。"
    ),
    "Another document has the same email; it must be unique.": (
        "另一个文档已有相同的 email；它必须唯一。"
    ),
    'must be a JSON object, such as {"name":"value"}.': '必须是 JSON 对象，如 {"name":"value"}。',
    "A sentence: that nobody has translated.": "A sentence: that nobody has translated.",
    "": "",
}


@pytest.mark.parametrize(("sentence", "translated"), CASES.items())
def test_a_sentence_is_translated_with_its_values(sentence: str, translated: str) -> None:
    assert translate("zh", sentence) == translated
    assert translate("en", sentence) == sentence


def test_a_value_is_never_a_place() -> None:
    assert "{0}" in translate("zh", "limit: must be a whole number ≥ 1, not '{0}'.")


def test_every_translation_has_the_places_of_its_sentence() -> None:
    with (CATALOGUES / "sentences.zh.po").open("rb") as file:
        messages = [one for one in read_po(file, locale="zh") if one.id]
    assert len(messages) > 100
    for one in messages:
        places = one.id.count("{}")
        found = len(re.findall(r"\{\d?\}", one.string))
        assert one.string, one.id
        assert found <= places, one.id  # a plural of English may have no place


def test_a_wrong_parameter_is_told_in_chinese(http: httpx.Client) -> None:
    headers = {"Accept": "text/html", "Accept-Language": "zh-CN"}
    answer = http.get("/ui/users/?limit=x&agee=1", headers=headers)
    assert answer.status_code == 422
    assert "limit：必须是 1 到 1000 的整数" in answer.text
    assert "您是不是想写 &#39;age&#39;？" in answer.text
