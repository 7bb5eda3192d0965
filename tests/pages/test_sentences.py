"""What other rooms say of a mistake is said in the reader's language."""

import re
from typing import Any, get_args

import httpx
import pytest
from babel.messages.pofile import read_po
from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType

from app.pages.languages import CATALOGUES
from app.pages.sentences import translate
from app.resources.kinds import KINDS, Kind

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
    "1 of 2 rows can't be imported, so nothing was written. Row 2: price must be a number.": (
        "2 行中有 1 行无法导入，因此什么也没有写入。第 2 行：price 必须是数字。"
    ),
    "3 documents of 'a' (in b) and 1 document of 'c' (in d) and 2 documents of 'e' (in f) link to "
    "this document; change or delete them first.": (
        "'a' 的 3 个文档（字段 b）及'c' 的 1 个文档（字段 d）及'e' 的 2 个文档（字段 f）"
        "关联到本文档；请先修改或删除它们。"
    ),
    'tags (tags.0): String should have at least 24 characters (what was sent: "x").': (
        'tags (tags.0)：至少 24 个字符（收到的是："x"）。'
    ),
    "There is no document in 'a' with the _id 7 to link to.": "'a' 中没有 _id 为 7 的文档可关联。",
    "Input should be a valid date or datetime, month value is outside expected range of 1-12.": (
        "应为日期，月份应为 1 到 12。"
    ),
    'must be a JSON object, such as {"name":"value"}.': '必须是 JSON 对象，如 {"name":"value"}。',
    "The server is stopping, so this was broken off; try again soon. The write may have happened "
    "all the same: read before you repeat it.": (
        "服务器正在停止，这次请求已中断；请稍后再试。写入也许已经完成：重试之前请先查看。"
    ),
    "value is not a valid email address: The email address contains invalid characters before the "
    '@-sign: SPACE (what was sent: "a b@example.com").': (
        '不是有效的邮箱地址：@ 符号前面含有不允许的字符：空格（收到的是："a b@example.com"）。'
    ),
    'Input should be a valid URL, relative URL without a base (what was sent: "x").': (
        '应为网址，开头缺少 http:// 或 https://（收到的是："x"）。'
    ),
    "breed: This field is required.": "breed：此项必填。",
    "A sentence: that nobody has translated.": "A sentence: that nobody has translated.",
    "": "",
}


@pytest.mark.parametrize(("sentence", "translated"), CASES.items())
def test_a_sentence_is_translated_with_its_values(sentence: str, translated: str) -> None:
    assert translate("zh", sentence) == translated
    assert translate("en", sentence) == sentence


# Pydantic's own errors, but for those that no JSON makes.
CONTEXT = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of", "max_digits", "decimal_places"), 2),
    **dict.fromkeys(("min_length", "max_length", "actual_length", "expected_version"), 2),
    **dict.fromkeys(("whole_digits", "tz_expected", "tz_actual"), 2),
    **dict.fromkeys(("expected_tags", "expected_schemes", "expected"), "'A' or 'B'"),
    **dict.fromkeys(("discriminator", "tag", "class_name", "class", "pattern", "error"), "'A'"),
    "field_type": "List",
}
NOT_OF_JSON = re.compile(
    ".*(attribute|argument|json_|python|recursion|dataclass|named_tuple|factory|iterat|frozen_dict"
    "|ordered|counter|hashable|bytes_type|bytes_invalid|value_error|assertion|sentinel|ellipsis"
    "|datetime_object|subclass|callable|fraction|complex).*"
)
KINDS_OF_ERRORS = [kind for kind in get_args(ErrorType) if not NOT_OF_JSON.fullmatch(kind)]


@pytest.mark.parametrize("kind", KINDS_OF_ERRORS)
def test_an_error_of_pydantic_is_told_in_chinese(kind: Any) -> None:
    told = translate("zh", PydanticKnownError(kind, CONTEXT).message())
    assert re.findall("[a-z]{3,}", told) == []


REFUSING = [kind for kind in KINDS.values() if kind.read not in (None, str)]


@pytest.mark.parametrize("kind", REFUSING, ids=lambda kind: kind.name)
def test_a_value_that_is_none_of_a_kind_is_told_in_chinese(kind: Kind) -> None:
    """Of a filter, and of a cell."""
    assert kind.read is not None
    with pytest.raises(ValueError, match=r"^must be ") as raised:
        kind.read("(")
    told = translate("zh", f"{raised.value}.")
    assert told.startswith("必须是")
    assert translate("zh", f"age: {raised.value}, not '('.") == f"age：{told[:-1]}，而不是 '('。"
    assert translate("zh", f"age {raised.value}.") == f"age {told}"


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
