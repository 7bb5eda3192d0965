"""The steps of `docsheet doctor` that say what is open: to whom, by which way, for how long.

What is open is no failure, for it may be meant: it is said, with what would close it.
"""

import datetime
import http.client
import ssl
from typing import Any

from app.auth.administrators import there_is_one
from app.auth.documents import Account, Key, Role, Share
from app.auth.patterns import judge_by
from app.auth.roles import Roles
from app.commands.doctor_case import Case, Finding
from app.serving.access import describe_access, list_names
from app.settings import Settings, is_loopback
from app.store.client import Connection

HTTPS_SECONDS = 3.0  # that a server has to answer
MAX_SHARE = datetime.timedelta(days=365)  # that a share may last
KNOWN_PASSWORDS = frozenset(
    ("admin", "changeme", "docsheet", "example", "mongo", "mongodb", "pass", "password", "root",
     "secret", "test", "123456", "12345678")
)  # fmt: skip


def examine_callers(case: Case) -> Finding:
    """Who may call."""
    settings = case.settings
    if access := describe_access(settings):
        fix = "set AUTH=on, and make an account: docsheet accounts add NAME --role admin."
        return Finding("open", access, fix)
    if not settings.has_accounts:
        return Finding("ok", f"AUTH is off, and only this machine reaches {settings.HOST}")
    if "*" in settings.ALLOWED_HOSTS:
        fix = "write the names into ALLOWED_HOSTS under which the server is asked for."
        return Finding("open", "ALLOWED_HOSTS takes every name, so any page may lead here", fix)
    return Finding("ok", "every caller needs an account")


def examine_https(case: Case) -> Finding:
    """Whether what goes over the network can be read there.

    This program speaks plain HTTP; that a proxy with https is in front only that address tells.
    """
    settings = case.settings
    names = [name for name in list_names(settings) if "*" not in name]
    if is_loopback(settings.HOST) and not names and not settings.TRUSTED_PROXIES:
        return Finding("ok", f"only this machine reaches {settings.HOST}")
    if not names:
        return Finding(
            "open",
            "no name in ALLOWED_HOSTS could be asked for by https: passwords may cross the network "
            "as they are",
            "put a proxy with https in front, and its name into ALLOWED_HOSTS; docs/network.md.",
        )
    problems = {name: problem for name in names if (problem := _ask(name, settings))}
    if problems:
        said = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        fix = "put a proxy with https in front, and its address into TRUSTED_PROXIES; "
        return Finding("open", said, f"{fix}docs/network.md.")
    return Finding("ok", f"{', '.join(names)} answers by https, and this server knows it")


def _ask(name: str, settings: Settings) -> str:
    """What is wrong with https at a name; empty where our own answer came through it."""
    connection = http.client.HTTPSConnection(name, timeout=HTTPS_SECONDS)
    try:
        connection.request("GET", f"{settings.ROOT_PATH}/livez")
        answer = connection.getresponse()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted here ({error.verify_message})"
    except (OSError, http.client.HTTPException) as error:
        return f"no https answers there ({error})"
    finally:
        connection.close()
    if answer.headers["X-Request-ID"] is None:
        return "another server answers there"
    if answer.headers["Strict-Transport-Security"] is None:
        return "the proxy is not in TRUSTED_PROXIES, so https is not known here"
    return ""


def examine_password(case: Case) -> Finding:
    """Whether the database is behind a password that is worth one."""
    user, password = case.parsed.get("username"), case.parsed.get("password")
    fix = f"give the user of MONGO_URI another password: db.changeUserPassword('{user}', …)."
    if password and (password.lower() in KNOWN_PASSWORDS or password == user):
        return Finding("open", f"the password of {user!r} in MONGO_URI is one that all know", fix)
    if user or all(map(_is_near, case.parsed["nodelist"])):
        return Finding("ok", "not one that all know" if user else "this machine alone gets there")
    return Finding(
        "open",
        "the database asks for no password, and others may reach it",
        "turn on its authentication (--auth, or --keyFile for a set), and make a user.",
    )


def _is_near(node: tuple[str, int | None]) -> bool:
    return node[0].startswith("/") or node[0].endswith(".sock") or is_loopback(node[0])


def examine_accounts(case: Case) -> Finding:
    """Whether someone could let others in."""
    if not case.settings.has_accounts:
        return Finding("ok", "AUTH is off")
    if not there_is_one(_collection(case, Account)):
        return Finding(
            "fails",
            "there is no administrator who could sign in, so the server does not start",
            "make one: docsheet accounts add NAME --role admin.",
        )
    return Finding("ok", "there is an administrator")


def examine_roles(case: Case) -> Finding:
    """Roles that stopped being true, as where the models changed; those rules are closed."""
    stored = _collection(case, Role).find()
    judge = judge_by(Connection(case.database, case.settings))
    closed = list(Roles(case.resources or ()).problems(stored, judge))
    if closed:
        return Finding("fails", " ".join(closed), "correct the role: PATCH /auth/roles/{_id}.")
    return Finding("ok", "all are true")


def examine_endings(case: Case) -> Finding:
    """Keys and shares that never end."""
    now = datetime.datetime.now(datetime.UTC)
    keys = _collection(case, Key).count_documents({"expires": None})
    too_long = {"$not": {"$lte": now + MAX_SHARE}}  # and such as have no end
    shares = _collection(case, Share).count_documents({"expires": too_long})
    said = [f"{keys} keys never expire"] if keys else []
    said += [f"{shares} shares last longer than a year"] if shares else []
    if said:
        fix = "give them an end, or delete them: /auth/keys/, /auth/shares/."
        return Finding("open", "; ".join(said), fix)
    return Finding("ok", "every key and every share ends")


def _collection(case: Case, document: type[Any]) -> Any:
    return case.database[document.Settings.name]
