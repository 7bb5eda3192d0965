"""One document over HTTP: create, read, replace, patch, delete, and the conditions of each."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bson
import httpx
import pytest
from starlette.requests import Request

from app.api.conditions import Conditions
from app.errors import Invalid
from tests.support.filling import insert_raw, read_raw
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod

NOBODY = "5f43a1b2c3d4e5f60718293a"
WANG = {
    "name": "王小明",
    "email": "wang@example.com",
    "profile": {
        "bio": "工程师",
        "age": 30,
        "addresses": [{"street": "中山路 1", "city": "北京", "zipcode": "007", "country": "中国"}],
    },
}


def create(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post("/users/", json={"name": "Ada", "email": "ada@example.com", **fields})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def path(document: dict[str, Any]) -> str:
    return f"/users/{document['_id']}"


def faults(answer: httpx.Response) -> list[str]:
    return [
        fault.get("pointer") or fault.get("header") or fault["parameter"]
        for fault in answer.json()["errors"]
    ]


# --- create ---------------------------------------------------------------------------------------


def test_create_answers_the_document_with_its_address_and_tag(
    http: httpx.Client, users: Any
) -> None:
    created = http.post("/users", json=WANG)
    document = created.json()
    assert created.status_code == 201
    assert created.headers["location"] == path(document)
    assert document == {"_id": document["_id"], **WANG, "age": None}
    read = http.get(created.headers["location"])
    assert (read.json(), read.headers["etag"]) == (document, created.headers["etag"])
    assert users.find_one() == {**document, "_id": bson.ObjectId(document["_id"])}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"age":NaN}', 400),
        (b'{"age":Infinity}', 400),
        (b'{"name":"\xff"}', 400),
        (b"[]", 422),
        (b"null", 422),
    ],
)
def test_body_that_is_no_json_is_400_and_no_object_422(
    http: httpx.Client, body: bytes, status: int
) -> None:
    answer = http.post("/users/", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["status"]) == (status, status)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"nam": "x"}, "#/nam"),
        ({"revision_id": None}, "#/revision_id"),
        ({"id": NOBODY}, "#/id"),
        ({"name": ""}, "#/name"),
        ({"age": 151}, "#/age"),
        ({"age": 10**30}, "#/age"),
        ({"age": 2**63}, "#/age"),
        ({"email": "no"}, "#/email"),
        ({"profile": 5}, "#/profile"),
        ({"profile": {"addresses": [{}, {"city": 7}]}}, "#/profile/addresses/1/city"),
        ({"profile": {"addresses": [{"town": "x"}]}}, "#/profile/addresses/0/town"),
        ({"a/b~c": 1}, "#/a~1b~0c"),
    ],
)
def test_field_that_cannot_be_stored_is_named(
    http: httpx.Client, fields: dict[str, Any], pointer: str
) -> None:
    answer = http.post("/users/", json={"name": "Ada", "email": "ada@example.com", **fields})
    assert (answer.status_code, faults(answer)) == (422, [pointer])


def test_unknown_field_is_told_the_nearest(http: httpx.Client) -> None:
    answer = http.post("/users/", json={"name": "Ada", "email": "a@example.com", "profil": {}})
    assert answer.json()["errors"] == [
        {"detail": "There is no field 'profil'. Did you mean 'profile'?", "pointer": "#/profil"}
    ]


def test_number_beyond_a_double_and_a_lone_surrogate_are_named(http: httpx.Client) -> None:
    body = b'{"name":"\\ud800","email":"ada@example.com"}'
    answer = http.post("/users/", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, faults(answer)) == (422, ["#/name"])
    body = b'{"name":"Ada","email":"ada@example.com","age":1e999}'
    answer = http.post("/users/", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, faults(answer)) == (422, ["#/age"])


@pytest.mark.parametrize(
    "media", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/x+json"]
)
def test_other_media_type_is_415(http: httpx.Client, media: str | None) -> None:
    headers = {} if media is None else {"Content-Type": media}
    answer = http.post("/users/", content=json.dumps(WANG), headers=headers)
    assert (answer.status_code, faults(answer)) == (415, ["Content-Type"])


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
def test_compressed_body_is_415(http: httpx.Client, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = http.post("/users/", content=json.dumps(WANG), headers=headers)
    assert (answer.status_code, faults(answer)) == (415, ["Content-Encoding"])
    assert answer.headers["Accept-Encoding"] == "identity"
    headers["Content-Encoding"] = "identity"
    assert http.post("/users/", content=json.dumps(WANG), headers=headers).status_code == 201


def test_body_over_the_limit_is_413(http: httpx.Client) -> None:
    body = b'{"name":"' + b"x" * 2 * 1024 * 1024 + b'"}'
    headers = {"Content-Type": "application/json"}
    assert http.post("/users/", content=body, headers=headers).status_code == 413
    chunked = http.post(
        "/users/",
        content=(body[at : at + 65536] for at in range(0, len(body), 65536)),
        headers=headers,
    )
    assert chunked.status_code == 413


def test_deep_body_is_refused_whole(http: httpx.Client) -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"a": deep}
    assert http.post("/users/", json={**WANG, "profile": deep}).status_code == 422


def test_given_key_is_taken_once(http: httpx.Client) -> None:
    assert create(http, _id=NOBODY)["_id"] == NOBODY
    again = http.post("/users/", json={"_id": NOBODY, "name": "x", "email": "x@example.com"})
    assert (again.status_code, faults(again)) == (409, ["#/_id"])


def test_one_email_serves_one_user_whoever_writes_it_and_how(http: httpx.Client) -> None:
    create(http)
    other = create(http, email="other@example.com")
    taken = {"name": "Bob", "email": "ada@EXAMPLE.com"}
    for answer in (
        http.post("/users/", json=taken),
        http.put(path(other), json=taken),
        http.patch(path(other), json={"email": "ada@example.com"}),
    ):
        assert (answer.status_code, faults(answer)) == (409, ["#/email"])
        assert "Ada" not in answer.text
    assert http.get(path(other)).json() == other


def test_two_hundred_creates_of_one_email_make_one_user(http: httpx.Client, users: Any) -> None:
    def post(number: int) -> int:
        return http.post(
            "/users/", json={"name": f"n{number}", "email": "one@example.com"}
        ).status_code

    with ThreadPoolExecutor(40) as pool:
        statuses = sorted(pool.map(post, range(200)))
    assert statuses == [201] + [409] * 199
    assert users.count_documents({}) == 1


# --- read -----------------------------------------------------------------------------------------


def test_read_knows_what_the_client_has(http: httpx.Client) -> None:
    document = create(http)
    tag = http.get(path(document)).headers["etag"]
    for value in (tag, f'"x", {tag}', "*", f"W/{tag}"):
        for answer in (http.get(path(document), headers={"If-None-Match": value}),
                       http.head(path(document), headers={"If-None-Match": value})):  # fmt: skip
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert http.get(path(document), headers={"If-None-Match": '"x"'}).status_code == 200


def test_read_of_some_fields(http: httpx.Client, users: Any) -> None:
    document = create(http, profile=WANG["profile"], age=30)
    key = bson.ObjectId(document["_id"])
    users.update_one({"_id": key}, {"$push": {"profile.addresses": {"$each": ["odd", {}]}}})

    def read(fields: str) -> httpx.Response:
        return http.get(path(document), params={"fields": fields})

    address = {"street": "中山路 1", "city": "北京", "zipcode": "007", "country": "中国"}
    for fields, shown in (
        ("name", {"name": "Ada"}),
        ("age,_id,name", {"name": "Ada", "age": 30}),
        ("profile.age,name.x", None),
        ("profile.age", {"profile": {"age": 30}}),
        ("profile.addresses.city", {"profile": {"addresses": [{"city": "北京"}, {}]}}),
        ("profile.addresses,profile.addresses.city",
         {"profile": {"addresses": [address, "odd", {}]}}),
    ):  # fmt: skip
        answer = read(fields)
        if shown is None:
            assert (answer.status_code, faults(answer)) == (422, ["fields"])
            continue
        assert answer.json() == {"_id": document["_id"], **shown}, fields
        assert "etag" not in answer.headers  # it isn't the whole document
        listed = http.get("/users/", params={"fields": fields, "_id": document["_id"]})
        assert listed.json() == [answer.json()]
    whole = read("")
    assert whole.headers["etag"] == http.get(path(document)).headers["etag"]


@pytest.mark.parametrize(
    "query", ["name=Bob", "age__gt=1", "name=", "keyword=x", "limit=1", "columns=name", "exp=name"]
)
def test_read_takes_no_condition(http: httpx.Client, query: str) -> None:
    answer = http.get(f"{path(create(http))}?{query}")
    assert (answer.status_code, faults(answer)) == (422, [query.partition("=")[0]])


def test_head_is_get_without_the_body(http: httpx.Client) -> None:
    document = create(http)
    for address in ("/users/", path(document), "/users/none"):
        got, head = http.get(address), http.head(address)
        assert head.content == b""
        assert head.status_code == got.status_code
        assert head.headers.get("etag") == got.headers.get("etag")
        assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (NOBODY, 404),
        ("none", 422),
        ("%FF", 422),
        (f"{NOBODY}/", 404),
        (f"{NOBODY}?x=1", 422),
        ("a%2Fb", 422),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_key_that_nobody_has(http: httpx.Client, method: str, address: str, status: int) -> None:
    body = {"json": WANG} if method in ("PUT", "PATCH") else {}
    assert http.request(method, f"/users/{address}", **body).status_code == status  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("a/b %😀", "a%2Fb%20%25%F0%9F%98%80"),
        (7, "7"),
        (bson.Int64(2**40), str(2**40)),
        (NOBODY, NOBODY),
        ("x", "x"),
    ],
)
def test_foreign_key_works_everywhere(
    http: httpx.Client, users: Any, key: Any, address: str
) -> None:
    users.insert_one({"_id": key, "name": "Foreign", "email": "f@example.com"})
    assert http.get("/users/").json()[0]["_id"] == key
    assert http.get(f"/users/{address}").json()["_id"] == key
    assert http.patch(f"/users/{address}", json={"age": 5}).json()["age"] == 5
    replaced = http.put(
        f"/users/{address}", json={"name": "New", "email": "n@example.com", "_id": key}
    )
    assert (replaced.status_code, replaced.json()["_id"]) == (200, key)
    assert users.find_one()["_id"] == key
    assert http.delete(f"/users/{address}").status_code == 204


def test_foreign_document_is_shown_as_it_is(http: httpx.Client, users: Any) -> None:
    late = bson.datetime_ms.DatetimeMS(253402300800000)
    foreign = {
        "_id": bson.ObjectId(),
        "name": 5,
        "late": late,
        "nan": float("nan"),
        "price": bson.Decimal128("1.10"),
        "odd": [bson.MinKey(), bson.Binary(b"x", 4), bson.Regex("a", "i")],
    }
    users.insert_one(foreign)
    raw = bson.encode({"_id": bson.ObjectId(), "name": "brXXken", "email": "x"}).replace(
        b"XX", b"\xff\xfe"
    )
    insert_raw(users, raw)
    shown = {
        "_id": str(foreign["_id"]), "name": 5,
        "late": {"$date": {"$numberLong": "253402300800000"}}, "nan": "NaN",
        "price": "1.10", "odd": [{"$minKey": 1}, {"$binary": {"base64": "eA==", "subType": "04"}},
                                 {"$regularExpression": {"pattern": "a", "options": "i"}}],
    }  # fmt: skip
    listed = http.get("/users/").json()
    assert listed[0] == shown
    assert listed[1]["name"] == "br��ken"
    assert http.get(f"/users/{foreign['_id']}").json() == shown
    patched = http.patch(f"/users/{foreign['_id']}", json={"age": 3})
    assert patched.json() == {**shown, "age": 3}
    assert http.patch(f"/users/{listed[1]['_id']}", json={"age": 3}).status_code == 200
    assert b"br\xff\xfeken" in read_raw(users, {"age": 3, "price": None})


# --- replace --------------------------------------------------------------------------------------


def test_put_replaces_whole(http: httpx.Client, users: Any) -> None:
    document = create(http, age=40, profile={"bio": "old"})
    users.update_one({}, {"$set": {"foreign": 1}})
    replaced = http.put(path(document), json={"name": "New", "email": "new@example.com"})
    expected = {
        "_id": document["_id"],
        "name": "New",
        "email": "new@example.com",
        "age": None,
        "profile": None,
    }
    assert (replaced.status_code, replaced.json()) == (200, expected)
    assert users.find_one() == {**expected, "_id": bson.ObjectId(document["_id"])}


def test_put_never_creates(http: httpx.Client, users: Any) -> None:
    assert http.put(f"/users/{NOBODY}", json=WANG, headers={"If-Match": '"x"'}).status_code == 404
    assert users.count_documents({}) == 0


def test_key_cannot_change(http: httpx.Client) -> None:
    document = create(http)
    body = {"name": "x", "email": "x@example.com"}
    for other in (NOBODY, None, 5):
        assert faults(http.put(path(document), json={**body, "_id": other})) == ["#/_id"]
        assert faults(http.patch(path(document), json={"_id": other})) == ["#/_id"]
    assert http.put(path(document), json={**body, "_id": document["_id"]}).status_code == 200
    assert http.patch(path(document), json={"_id": document["_id"]}).status_code == 200


# --- patch ----------------------------------------------------------------------------------------


def test_patch_merges_and_touches_nothing_else(http: httpx.Client, users: Any) -> None:
    document = create(
        http,
        age=40,
        profile={"bio": "b", "age": 7, "addresses": [{"city": "Rome"}, {"city": "Bonn"}]},
    )
    users.update_one(
        {}, {"$set": {"foreign": {"deep": 1}, "profile.odd": "x", "profile.age": "seven"}}
    )
    patch = {"age": None, "profile": {"bio": "new", "addresses": [{"city": "北京"}]}}
    answer = http.patch(
        path(document), json=patch, headers={"Content-Type": "application/merge-patch+json"}
    )
    address = {"street": None, "city": "北京", "zipcode": None, "country": None}
    assert answer.json() == {
        "_id": document["_id"], "name": "Ada", "email": "ada@example.com",
        "profile": {"bio": "new", "age": "seven", "addresses": [address], "odd": "x"},
        "foreign": {"deep": 1},
    }  # fmt: skip
    assert http.get(path(document)).json() == answer.json()


def test_patch_of_a_missing_object_makes_it(http: httpx.Client, users: Any) -> None:
    document = create(http)
    for before in (
        {"$unset": {"profile": ""}},
        {"$set": {"profile": 5}},
        {"$set": {"profile": 5, "age": "odd"}},
    ):
        users.update_one({}, before)
        patched = http.patch(path(document), json={"profile": {"bio": "b"}}).json()
        assert patched["profile"] == {"bio": "b", "age": None, "addresses": []}


def test_removed_field_gets_the_models_default(http: httpx.Client) -> None:
    document = create(http, profile={"bio": "b", "addresses": [{"city": "Rome"}]})
    patched = http.patch(path(document), json={"profile": {"bio": None, "addresses": None}}).json()
    assert patched["profile"] == {"age": None, "addresses": []}


@pytest.mark.parametrize(
    ("patch", "pointers"),
    [
        ({"name": None}, ["#/name"]),
        ({"age": -1, "email": "x"}, ["#/email", "#/age"]),
        ({"profile": {"age": 200}}, ["#/profile/age"]),
        ({"nope": None}, ["#/nope"]),
        ({"profile": {"nope": 1}}, ["#/profile/nope"]),
        ({"profile.age": 1}, ["#/profile.age"]),
        ({"$set": {"age": 1}}, ["#/$set"]),
        ([], ["#"]),
    ],
)
@pytest.mark.parametrize("odd", [False, True])
def test_patch_result_is_validated_where_it_was_sent(
    http: httpx.Client, users: Any, patch: Any, pointers: list[str], odd: bool
) -> None:
    document = create(http, profile={"bio": "b"})
    if odd:
        users.update_one({}, {"$set": {"profile.bio": 5}})
    before = users.find_one()
    answer = http.patch(path(document), json=patch)
    assert (answer.status_code, sorted(faults(answer))) == (422, sorted(pointers))
    assert users.find_one() == before


def test_write_that_changes_nothing_keeps_the_tag(http: httpx.Client) -> None:
    document = create(http, profile={"bio": "b"})
    tag = http.get(path(document)).headers["etag"]
    assert http.patch(path(document), json={}).headers["etag"] == tag
    assert http.patch(path(document), json={"name": "Ada", "profile": {}}).headers["etag"] == tag
    assert http.put(path(document), json=document).headers["etag"] == tag
    assert http.patch(path(document), json={"name": "Eva"}).headers["etag"] != tag


# --- conditions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_lets_only_the_named_state_through(http: httpx.Client, method: str) -> None:
    def write(value: str) -> httpx.Response:
        body = {} if method == "DELETE" else {"json": {"name": "Ada", "email": "ada@example.com"}}
        return http.request(method, path(document), headers={"If-Match": value}, **body)  # type: ignore[arg-type]

    document = create(http)
    tag = http.get(path(document)).headers["etag"]
    for value in ('"x"', 'W/"x"', f'"x{tag[1:]}', '"*"', '"x", "y"'):
        refused = write(value)
        assert (refused.status_code, faults(refused)) == (412, ["If-Match"]), value
    for pattern in ("{}", '"x", {}', '"a,b",{}', "*", "W/{}", ', ,W/{}, "y",'):
        assert write(pattern.format(tag)).status_code == (204 if method == "DELETE" else 200), (
            pattern
        )
        if method == "DELETE":
            document = create(http)
            tag = http.get(path(document)).headers["etag"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_none_match_keeps_the_named_state(http: httpx.Client, users: Any, method: str) -> None:
    def write(headers: dict[str, str]) -> httpx.Response:
        body = {} if method == "DELETE" else {"json": {"name": "Eva", "email": "ada@example.com"}}
        return http.request(method, path(document), headers=headers, **body)  # type: ignore[arg-type]

    document = create(http)
    tag = http.get(path(document)).headers["etag"]
    before = users.find_one()
    for value in ("*", tag, f"W/{tag}", f'"x", {tag}'):
        refused = write({"If-None-Match": value})
        assert (refused.status_code, faults(refused)) == (412, ["If-None-Match"]), value
        both = write({"If-None-Match": value, "If-Match": tag})
        assert (both.status_code, faults(both)) == (412, ["If-None-Match"])
        other = write({"If-None-Match": value, "If-Match": '"x"'})
        assert (other.status_code, faults(other)) == (412, ["If-Match"])
    assert users.find_one() == before
    assert (
        http.request(
            method, f"/users/{NOBODY}", json={}, headers={"If-None-Match": "*"}
        ).status_code
        == 404
    )
    assert write({"If-None-Match": '"x"', "If-Match": tag}).status_code in (200, 204)


def test_if_match_of_a_read(http: httpx.Client) -> None:
    document = create(http)
    tag = http.get(path(document)).headers["etag"]
    for method in ("GET", "HEAD"):
        for value, status in ((tag, 200), (f"W/{tag}", 200), ("*", 200), ('"x"', 412)):
            answer = http.request(method, path(document), headers={"If-Match": value})
            assert answer.status_code == status, (method, value)
    both = {"If-Match": '"x"', "If-None-Match": tag}
    assert http.get(path(document), headers=both).status_code == 412
    assert http.get(path(document), headers=both | {"If-Match": tag}).status_code == 304
    assert http.get(f"/users/{NOBODY}", headers={"If-Match": '"x"'}).status_code == 404


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize(
    "value", ["", "x", "'x'", '"x', 'x"', '"x" "y"', '"x", y', "*, *", "w/\"x\"", '"a b"', ",",
    '""x""'],
)  # fmt: skip
def test_what_is_no_tag_is_422_and_shows_one(http: httpx.Client, header: str, value: str) -> None:
    document = create(http)
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        answer = http.request(method, path(document), headers={header: value}, content=b"{")
        assert answer.status_code == 422, (method, value)
        if method != "HEAD":
            assert faults(answer) == [header]
            assert (
                'must be a tag in double quotes, as ETag shows it ("5f43a1b2")'
                in answer.text.replace("\\", "")
            )


def test_a_long_header_of_tags_is_read_in_one_pass() -> None:
    """Which takes a millisecond; to look for the end of each blank would take minutes."""
    header = (b"if-match", b'"a"' + b" ,\t" * 50_000 + b"x")
    began = time.process_time()
    with pytest.raises(Invalid, match="must be a tag in double quotes"):
        Conditions(Request({"type": "http", "headers": [header]}))
    assert time.process_time() - began < 30


def test_tag_changes_with_any_change_by_whomever(http: httpx.Client, users: Any) -> None:
    document = create(http)
    tags = {http.get(path(document)).headers["etag"]}
    changes: list[dict[str, Any]] = [
        {"$set": {"x": 1}}, {"$set": {"x": 1.0}}, {"$set": {"x": bson.Int64(1)}},
        {"$rename": {"x": "y"}},
        {"$unset": {"y": ""}, "$set": {"name": "Eva"}},
    ]  # fmt: skip
    for number, change in enumerate(changes, 2):
        users.update_one({}, change)
        tags.add(http.get(path(document)).headers["etag"])
        assert len(tags) == number


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_order_of_what_is_wrong(http: httpx.Client, method: str) -> None:
    document = create(http)

    def status(key: str, media: str, body: str, tag: str) -> int:
        headers = {"Content-Type": media, "If-Match": tag}
        return http.request(method, f"/users/{key}", content=body, headers=headers).status_code

    media, body = "application/json", '{"name":"Ada","email":"ada@example.com"}'
    assert status("none", "text/plain", "{", '"x"') == 422
    assert status(NOBODY, "text/plain", "{", '"x"') == 415
    assert status(NOBODY, "text/plain", "{", "x") == 422
    assert status(NOBODY, media, "{", '"x"') == 400
    assert status(NOBODY, media, '{"bad":1}', '"x"') == 404
    assert status(document["_id"], media, '{"bad":1}', '"x"') == 412
    assert status(document["_id"], media, '{"bad":1}', "*") == 422
    assert status(document["_id"], media, body, "*") == 200


# --- concurrency ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_of_fifty_writers_with_one_tag_one_succeeds(http: httpx.Client, method: str) -> None:
    document = create(http)
    tag = http.get(path(document)).headers["etag"]

    def write(number: int) -> int:
        body = (
            {}
            if method == "DELETE"
            else {"json": {"name": f"n{number}", "email": "ada@example.com"}}
        )
        return http.request(method, path(document), headers={"If-Match": tag}, **body).status_code  # type: ignore[arg-type]

    with ThreadPoolExecutor(50) as pool:
        statuses = sorted(pool.map(write, range(50)))
    if method == "DELETE":
        assert statuses == [204] + [404] * 49
    else:
        assert statuses == [200] + [412] * 49


def test_patches_of_different_fields_all_hold_beside_a_foreign_writer(
    http: httpx.Client, users: Any
) -> None:
    document = create(http, age=0, profile={"bio": "", "age": 0})
    key = bson.ObjectId(document["_id"])

    def patch(number: int) -> int:
        fields: list[dict[str, Any]] = [
            {"name": "n"},
            {"age": number},
            {"profile": {"age": number}},
        ]
        return http.patch(path(document), json=fields[number % 3]).status_code

    def foreign(number: int) -> int:
        users.update_one({"_id": key}, {"$inc": {"counter": 1}, "$set": {f"f{number}": number}})
        return 200

    with ThreadPoolExecutor(24) as pool:
        ours = pool.map(patch, range(60))
        theirs = pool.map(foreign, range(60))
        assert set(ours) | set(theirs) == {200}
    found = users.find_one({"_id": key})
    assert (found["name"], found["counter"]) == ("n", 60)
    assert [found[f"f{number}"] for number in range(60)] == list(range(60))


def test_delete_against_patch_leaves_no_half_document(http: httpx.Client, users: Any) -> None:
    for round_ in range(15):
        document = create(http, email=f"r{round_}@example.com")
        with ThreadPoolExecutor(4) as pool:
            patches = [
                pool.submit(http.patch, path(document), json={"age": number}) for number in range(3)
            ]
            deleted = pool.submit(http.delete, path(document))
        assert deleted.result().status_code == 204
        assert {done.result().status_code for done in patches} <= {200, 404}
        assert http.get(path(document)).status_code == 404
    assert users.count_documents({}) == 0


@pytest.mark.slow
def test_large_document_is_written_atomically_too(http: httpx.Client, users: Any) -> None:
    document = create(http)
    users.update_one({}, {"$set": {"blob": b"x" * 9 * 1024 * 1024}})
    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(lambda number: http.patch(path(document), json={"age": number}), range(3))
        )
    assert [answer.status_code for answer in answers] == [200] * 3
    users.update_one({}, {"$set": {"blob": b"x" * (16 * 1024 * 1024 - 500)}})
    grown = http.patch(path(document), json={"profile": {"bio": "y" * 1000}})
    assert (grown.status_code, faults(grown)) == (422, ["#"])
