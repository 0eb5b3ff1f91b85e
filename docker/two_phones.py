# SPDX-License-Identifier: MIT
# Two people with phones: register over HTTP, log in over STARTTLS, become contacts and chat, while the containers of the
# server and of its database go away and come back. For docker/test; a line "ok …" or "FAIL …" for each thing looked at.
import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request

import slixmpp

TERN, MYSQL = os.environ["PODMAN_TERN"], os.environ["PODMAN_MYSQL"]
C2S, DIRECT_TLS, HTTP = (int(os.environ["TERN_PORT_" + name]) for name in ("C2S", "DIRECT_TLS", "HTTP"))
LONG = 60  # seconds: for machines with much else to do


def post(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{HTTP}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=LONG))


def is_ready():
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/readyz", timeout=5).close()
        return True
    except OSError:
        return False


def register(phone):
    registration = post("/v1/register", {"phone": phone})
    log = subprocess.run(["podman", "logs", TERN], capture_output=True, text=True, check=True)
    sms = [line for line in (log.stdout + log.stderr).splitlines() if "SMS to " + phone in line][-1]
    pin = re.search(r"\b\d{5}\b", sms.split("SMS to " + phone)[1])[0]
    return post(f"/v1/register/{registration['id']}/confirm", {"pin": pin, "device": "test"})


async def podman(*arguments):
    process = await asyncio.create_subprocess_exec("podman", *arguments, stdout=subprocess.DEVNULL)
    if await process.wait() != 0:
        raise RuntimeError("podman " + " ".join(arguments))


class Phone(slixmpp.ClientXMPP):
    def __init__(self, account, direct_tls=False):
        super().__init__(account["jid"], account["key"])
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        self.direct_tls = direct_tls
        self.auto_authorize = self.auto_subscribe = True
        self.texts, self.delayed, self.refused, self.sessions, self.ends = [], [], [], 0, 0
        for plugin in ("xep_0030", "xep_0199", "xep_0203"):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("disconnected", self.ended)
        self.add_event_handler("message", self.take)
        self.add_event_handler("message_error", lambda message: self.refused.append(message["id"]))

    async def log_in(self):
        before = self.sessions
        self.connect(("127.0.0.1", DIRECT_TLS if self.direct_tls else C2S), use_ssl=self.direct_tls,
                     force_starttls=not self.direct_tls, disable_starttls=self.direct_tls)
        await until(lambda: self.sessions > before)

    async def log_out(self):
        before = self.ends
        self.disconnect()
        await until(lambda: self.ends > before)

    async def started(self, _):
        await self.get_roster()
        self.send_presence()
        self.sessions += 1

    def ended(self, _):
        self.ends += 1

    def take(self, message):
        if message["type"] == "error":
            return
        self.texts.append(message["body"])
        if message["delay"]["stamp"]:
            self.delayed.append(message["body"])

    def say(self, to, text):
        self.send_message(to.boundjid.bare, text, mtype="chat")

    def knows(self, other):
        return self.client_roster[other.boundjid.bare]["subscription"] == "both"


async def until(condition, seconds=LONG):
    async def wait():
        while not condition():
            await asyncio.sleep(0.1)
    await asyncio.wait_for(wait(), seconds)


async def check(name, condition):
    try:
        await until(condition)
        print("ok  ", name, flush=True)
    except asyncio.TimeoutError:
        print("FAIL", name, flush=True)


async def main():
    one, two = register("+4915112345671"), register("+4915112345672")
    print("ok   two numbers register by SMS", flush=True)
    romeo, juliet = Phone(one), Phone(two, direct_tls=True)
    await asyncio.gather(romeo.log_in(), juliet.log_in())
    print("ok   they log in with their keys, by STARTTLS and by direct TLS", flush=True)

    romeo.send_presence_subscription(juliet.boundjid.bare)
    await check("they become contacts", lambda: romeo.knows(juliet) and juliet.knows(romeo))
    romeo.say(juliet, "hello")
    await check("a message arrives", lambda: juliet.texts == ["hello"])
    juliet.say(romeo, "hello yourself")
    await check("and its answer", lambda: romeo.texts == ["hello yourself"])

    await juliet.log_out()
    for text in ("one", "two", "three"):
        romeo.say(juliet, text)
    await romeo["xep_0199"].ping(timeout=LONG)  # answered after them
    await podman("restart", "-t", "20", TERN)
    await check("a restart of the server ends the session", lambda: romeo.ends == 1)
    await until(is_ready)
    romeo, juliet = Phone(one), Phone(two)
    await juliet.log_in()
    await check("what waited arrives after it, in order", lambda: juliet.texts == ["one", "two", "three"])
    await check("… with the time it was sent", lambda: juliet.delayed == ["one", "two", "three"])
    await romeo.log_in()
    await check("they are still contacts", lambda: romeo.knows(juliet) and juliet.knows(romeo))

    await podman("restart", "-t", "20", MYSQL)
    juliet.texts.clear()
    romeo.say(juliet, "after the database was away")
    await check("after a restart of the database a message arrives",
                lambda: juliet.texts == ["after the database was away"] and not romeo.refused)

    await podman("stop", "-t", "20", MYSQL)
    juliet.texts.clear()
    romeo.say(juliet, "while the database is away")
    # Nothing that was accepted is lost: it arrives, or its sender is told.
    await asyncio.sleep(2)
    await podman("start", MYSQL)
    await check("what is sent while the database is away arrives or is refused",
                lambda: juliet.texts == ["while the database is away"] or len(romeo.refused) == 1)
    print("     it was", "refused" if romeo.refused else "delivered", flush=True)
    await check("and the sessions stayed", lambda: romeo.ends == 0 and juliet.ends == 0)
    await until(is_ready)
    romeo.say(juliet, "again")
    await check("and all is as before", lambda: juliet.texts[-1:] == ["again"])
    await asyncio.gather(romeo.log_out(), juliet.log_out())


try:
    asyncio.run(asyncio.wait_for(main(), 540))
except (asyncio.TimeoutError, OSError, RuntimeError, IndexError, TypeError) as problem:
    print("FAIL the two phones stopped:", repr(problem), flush=True)
    sys.exit(0)
