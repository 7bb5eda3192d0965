"""Makes the users that every benchmark reads, in a mongod of their own.

The mongod is the one that Docsheet starts for whoever has none, with a larger cache, so that all
candidates are limited by themselves and not by a disk. Its folder is kept, and so are the data:
`users_1000000` is made once. The documents are some 400 bytes of BSON: half of the names Chinese,
one to three addresses. Beside them lie `wide_N`, documents of 60 filled fields (`--wide`). Prints
how many were made, how fast, and how large they are.
"""

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern

from app.resources.registry import discover
from app.servers.embedded import EmbeddedDatabase
from app.store.indexes import Indexes, make_indexes

FOLDER = Path(__file__).parents[1] / ".bench" / "data"
CACHE_MIB = 2048
SNAPSHOT_SECONDS = 1800
BULK = 5_000  # documents
WRITERS = 2  # threads: one makes documents while the other waits for mongod
USERS = "models"  # the packages that declare the indexes
WIDE = "benchmarks.wide"

CHINESE = (  # surnames, each with its Latin form
    "王 wang 李 li 张 zhang 刘 liu 陈 chen 杨 yang 赵 zhao 黄 huang "
    "周 zhou 吴 wu 徐 xu 孙 sun 胡 hu 朱 zhu 高 gao "
    "林 lin 何 he 郭 guo 马 ma 罗 luo 梁 liang 宋 song 郑 zheng 谢 xie "
    "韩 han 唐 tang 冯 feng 于 yu 董 dong 萧 xiao"
)
GIVEN_CHINESE = (
    "伟 wei 芳 fang 娜 na 秀英 xiuying 敏 min 静 jing 丽 li 强 qiang 磊 lei "
    "军 jun 洋 yang 勇 yong 艳 yan "
    "杰 jie 娟 juan 涛 tao 明 ming 超 chao 秀兰 xiulan "
    "霞 xia 平 ping 刚 gang 桂英 guiying 子轩 zixuan "
    "雨桐 yutong 浩然 haoran"
)
WESTERN = (
    "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Müller Schmidt "
    "Schneider Fischer Weber "
    "Meyer Wagner Becker Schulz Martin Bernard Dubois Thomas Robert Richard "
    "Petit Durand Leroy Moreau Garcia"
)
GIVEN_WESTERN = (
    "James Mary John Patricia Robert Jennifer Michael Linda William Elizabeth David "
    "Barbara Anna Lukas Lena Leon "
    "Marie Paul Sophie Camille Léa Hugo Chloé Louis Emma Jules Felix Clara"
)
PLACES = (  # country, city, street, zipcode
    ("中国", "北京", "朝阳区建国路{}号", "1000{:02d}"),
    ("中国", "上海", "浦东新区世纪大道{}号", "2001{:02d}"),
    ("中国", "广州", "天河区体育西路{}号", "5106{:02d}"),
    ("中国", "成都", "武侯区人民南路{}号", "6100{:02d}"),
    ("中国", "西安", "雁塔区长安南路{}号", "7100{:02d}"),
    ("USA", "Portland", "{} Hawthorne Boulevard", "972{:02d}"),
    ("USA", "San Francisco", "{} Valencia Street, Apt. 4", "941{:02d}"),
    ("Deutschland", "Berlin", "Kastanienallee {}", "104{:02d}"),
    ("Deutschland", "München", "Leopoldstraße {}", "808{:02d}"),
    ("France", "Paris", "{}, rue de la Roquette", "750{:02d}"),
    ("France", "Lyon", "{}, avenue Jean Jaurès", "690{:02d}"),
)
BIOS = (
    "Reads maps, repairs bicycles and answers letters.",
    "Teaches mathematics; swims in cold lakes.",
    "喜欢摄影、徒步和安静的早晨。",
    "软件工程师，周末种菜，偶尔写诗。",
    'Says "hello", then a comma, then nothing.',
    "Bäckt Brot, spielt Bratsche, sammelt Fahrpläne.",
    "Médecin le jour, violoniste la nuit.",
    "从事外贸工作多年，热爱旅行与美食。",
)

Document = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """Where the documents are: a database of `documents` users at `uri`."""

    uri: str
    name: str
    documents: int

    def client(self) -> MongoClient[Document]:
        """A client of this mongod, that waits for no journal."""
        return MongoClient(self.uri, w=1, journal=False)


@contextmanager
def opened(folder: Path = FOLDER, cache_mib: int = CACHE_MIB) -> Iterator[str]:
    """The URI of the benchmarks' mongod, which runs meanwhile; SIGTERM ends all as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with EmbeddedDatabase.open(folder, cache_mib, SNAPSHOT_SECONDS, share=True) as embedded:
        yield embedded.uri


def users(uri: str, count: int) -> Data:
    """The database of `count` users, made where it isn't there."""
    return _made(uri, f"users_{count}", count, "users", USERS, make_users)


def newcomers(uri: str, count: int, after: int) -> Data:
    """The database of `count` users that come after the first `after`, made where it isn't there.

    None of them has the e-mail address of one of the first.
    """

    def make(begin: int, end: int) -> list[Document]:
        return make_users(after + begin, after + end)

    return _made(uri, f"users_{count}_after_{after}", count, "users", USERS, make)


def wide(uri: str, count: int) -> Data:
    """The database of `count` documents of 60 fields, made where it isn't there."""
    return _made(uri, f"wide_{count}", count, "wide", WIDE, make_wide)


def _made(
    uri: str,
    name: str,
    count: int,
    collection: str,
    package: str,
    make: Callable[[int, int], list[Document]],
) -> Data:
    data = Data(uri, name, count)
    with data.client() as client:
        database = client[name]
        whole = database["made"].find_one({"_id": collection, "documents": count}) is not None
        if (
            not whole or database[collection].count_documents({}) != count
        ):  # a benchmark may have been killed
            client.drop_database(name)
            begin = time.perf_counter()
            fill(
                database[collection].with_options(write_concern=WriteConcern(w=1, j=False)),
                count,
                make,
            )
            written = time.perf_counter()
            make_indexes(discover(package)[collection], database[collection], Indexes())
            database["made"].insert_one({"_id": collection, "documents": count})
            size = database.command("collStats", collection)["avgObjSize"]
            print(
                f"{count:,} documents of {size} bytes made in {name}: "
                f"{count / (written - begin):,.0f}/s, "
                f"and {time.perf_counter() - written:.1f} s for the indexes"
            )
    return data


def fill(collection: Any, count: int, make: Callable[[int, int], list[Document]]) -> None:
    """Stores so many documents; `make(begin, end)` makes those with these numbers."""

    def write(begin: int) -> None:
        collection.insert_many(make(begin, min(begin + BULK, count)), ordered=False)

    with ThreadPoolExecutor(WRITERS) as writers:
        for _ in writers.map(write, range(0, count, BULK)):
            pass


def make_users(begin: int, end: int) -> list[Document]:
    """The users with these numbers, always the same."""
    rng = random.Random(begin)
    count = end - begin
    names = zip(rng.choices(_chinese, k=count), rng.choices(_western, k=count), strict=True)
    ages = rng.choices(range(18, 91), k=count)
    bios = rng.choices(BIOS, k=count)
    homes = rng.choices(_addresses, k=3 * count)
    return [
        {
            "name": name,
            "email": f"{mailbox}.{number}@example.com",
            "age": age,
            "profile": {
                "bio": bio,
                "age": age,
                "addresses": homes[3 * at : 3 * at + 1 + number % 3],
            },
        }
        for at, (number, (name, mailbox), age, bio) in enumerate(
            zip(
                range(begin, end),
                (pair[number % 2] for number, pair in enumerate(names)),
                ages,
                bios,
                strict=True,
            )
        )
    ]


def make_wide(begin: int, end: int) -> list[Document]:
    """Documents of 60 fields: texts and numbers in turn."""
    texts = [f"{bio[:16]} {number}" for number, bio in enumerate(BIOS)]
    return [
        {f"f{at:02d}": texts[(number + at) % 8] if at % 2 else number * at for at in range(60)}
        for number in range(begin, end)
    ]


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


_chinese = [
    (family + given, f"{given_latin}.{family_latin}")
    for family, family_latin in _pairs(CHINESE)
    for given, given_latin in _pairs(GIVEN_CHINESE)
]
_western = [
    (f"{given} {family}", f"{given}.{family}".lower().encode("ascii", "ignore").decode())
    for family in WESTERN.split()
    for given in GIVEN_WESTERN.split()
]
_addresses = [
    {
        "street": street.format(number),
        "city": city,
        "zipcode": zipcode.format(number % 100),
        "country": country,
    }
    for country, city, street, zipcode in PLACES
    for number in range(1, 300)
]


def add_arguments(parser: argparse.ArgumentParser, documents: int = 1_000_000) -> None:
    """The arguments that every benchmark has."""
    parser.add_argument(
        "documents", type=int, nargs="?", default=documents, help="users in the collection"
    )
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="the mongod's folder, kept between runs"
    )
    parser.add_argument("--cache-mib", type=int, default=CACHE_MIB, help="MiB of mongod's cache")


def main() -> None:
    """Makes what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--wide", action="store_true", help="also the documents of 60 fields, a tenth as many"
    )
    asked = parser.parse_args()
    with opened(asked.folder, asked.cache_mib) as uri:
        made = users(uri, asked.documents)
        print(f"{made.documents:,} users in {made.name}")
        if asked.wide:
            made = wide(uri, asked.documents // 10)
            print(f"{made.documents:,} documents in {made.name}")


if __name__ == "__main__":
    main()
