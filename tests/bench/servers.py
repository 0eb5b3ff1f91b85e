# SPDX-License-Identifier: MIT
"""The servers that are compared: each in a directory of its own, on loopback, on a free port, on one core.

Each is given its best: what is not needed for the work is off, caches hold all users, nothing is logged but errors."""

import contextlib
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import time

ACCOUNTS_CACHED = 200_000
ITERATIONS = 4096
START_DEADLINE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_file_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Server:
    """One process (with its children), pinned to a core. archives: every message is archived, and acked when durable
    where the server can promise that."""

    name = ""
    is_raw = False
    rooms = "conference.localhost"
    direct_port = 0  # direct TLS; 0: it has none here
    only_archives = False

    def __init__(self, directory, core, archives=False):
        self.directory = os.path.join(directory, f"{self.name}-{'archive' if archives else 'plain'}")
        os.makedirs(self.directory, exist_ok=True)
        self.core = core
        self.archives = archives
        self.nice = 0
        self.port = 0
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        self.port = free_port()
        command, environment = self.command()
        log = open(os.path.join(self.directory, "output"), "ab")
        self.process = subprocess.Popen(
            ["nice", "-n", str(self.nice), "taskset", "-c", str(self.core), *command], cwd=self.directory, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, env={**os.environ, **environment}, preexec_fn=raise_file_limit)
        log.close()
        self.wait_until_it_listens()

    def wait_until_it_listens(self):
        end = time.monotonic() + START_DEADLINE
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} does not start; see {self.directory}/output")

    def stop(self):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def certificate(self):
        """ECDSA P-256: what costs least."""
        key, chain, both = (os.path.join(self.directory, name) for name in ("key.pem", "cert.pem", "both.pem"))
        if not os.path.exists(both):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain],
                check=True, capture_output=True)
            with open(both, "w") as file:
                for part in (key, chain):
                    with open(part) as source:
                        file.write(source.read())
        return key, chain, both


class Tern(Server):
    name = "tern"
    rooms = "groups.localhost"

    def __init__(self, directory, core, archives=False, binary="build/release/tern"):
        super().__init__(directory, core, archives)
        self.binary = os.path.abspath(binary)

    def storage_url(self):
        return "sqlite:data/tern.db"

    def command(self):
        key, chain, _ = self.certificate()
        addresses = os.path.join(self.directory, "data", "addresses.json")
        if os.path.exists(addresses):
            os.remove(addresses)
        messages = ('archive = "always"\nack = "commit"\nretention = "30d"' if self.archives
                    else 'archive = "never"\nack = "receive"\nretention = "delivered"')
        path = self.write("tern.toml", f"""
data = "data"
workers = 1
[storage]
url = "{self.storage_url()}"
[c2s]
listen = ["127.0.0.1:0"]
direct_tls = ["127.0.0.1:0"]
require_tls = false
[tls]
certificate = "{chain}"
key = "{key}"
[http]
listen = ["127.0.0.1:0"]
tls = []
[registration]
open = true
phone = false
per_minute = 1000000
per_address_an_hour = 1000000
[auth]
iterations = {ITERATIONS}
[messages]
{messages}
[rooms]
max_occupants = 18000
history = 0
[limits]
connections_per_address = 100000
logins_per_address = 100000
login_deadline = "10m"
sessions_per_account = 100
outbox_bytes = "64M"
[log]
level = "error"
""")
        return [self.binary, "serve", "--config", path], {}

    def wait_until_it_listens(self):
        addresses = os.path.join(self.directory, "data", "addresses.json")
        end = time.monotonic() + START_DEADLINE
        while not os.path.exists(addresses):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(f"tern does not start; see {self.directory}/output")
            time.sleep(0.05)
        with open(addresses) as file:
            bound = json.load(file)
        self.port, self.direct_port = (int(bound[key][0].rsplit(":", 1)[1]) for key in ("c2s", "direct_tls"))


class TernOnMariaDb(Tern):
    """With a MariaDB of its own on the same core, whose time counts as well: it is a child of the process that becomes Tern."""

    name = "tern-mariadb"
    only_archives = True

    def __init__(self, directory, core, archives=False, binary="build/release/tern"):
        super().__init__(directory, core, archives, binary)
        self.database_port = free_port()

    def storage_url(self):
        return f"mysql://tern:tern@127.0.0.1:{self.database_port}/tern"

    def command(self):
        files = os.path.join(self.directory, "mariadb")
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        if not os.path.exists(files):
            subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={files}", "--skip-test-db", *as_root],
                           check=True, capture_output=True)
        first = self.write("first.sql", "CREATE DATABASE IF NOT EXISTS tern; CREATE USER IF NOT EXISTS tern@'%' IDENTIFIED BY 'tern';"
                                        " GRANT ALL ON tern.* TO tern@'%';".replace("; ", ";\n"))
        database = ["mariadbd", "--no-defaults", f"--datadir={files}", f"--socket={self.directory}/s", f"--port={self.database_port}",
                    "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M",
                    f"--init-file={first}", f"--pid-file={self.directory}/database.pid", *as_root]
        tern, environment = super().command()
        return ["sh", "-c", f"{shlex.join(database)} & exec {shlex.join(tern)}"], environment

    def stop(self):
        super().stop()
        with contextlib.suppress(OSError, ValueError), open(f"{self.directory}/database.pid") as file:
            os.kill(int(file.read()), signal.SIGTERM)


class Ejabberd(Server):
    name = "ejabberd"

    def command(self):
        both = self.certificate()[2]
        archive = "\n  mod_mam:\n    default: always\n    compress_xml: false" if self.archives else ""
        path = self.write("ejabberd.yml", f"""
loglevel: error
hosts: [localhost]
certfiles: ["{both}"]
auth_password_format: scram
cache_size: {ACCOUNTS_CACHED}
cache_life_time: infinity
disable_sasl_mechanisms: [digest-md5, X-OAUTH2]
listen:
  -
    port: {self.port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    starttls: true
    backlog: 4096
shaper_rules:
  max_user_sessions: 100
access_rules:
  everybody: {{allow: all}}
registration_timeout: infinity
modules:
  mod_disco: {{}}
  mod_offline:
    access_max_user_messages: many
  mod_muc:
    max_users: 20000
    max_users_presence: 20000
    history_size: 0
    default_room_options: {{max_users: 20000}}
  mod_ping: {{}}
  mod_register:
    access: everybody
    ip_access: all
    welcome_message: {{}}
  mod_roster: {{}}
  mod_stream_mgmt:
    max_ack_queue: infinity
    resend_on_timeout: if_offline{archive}
""".replace("  max_user_sessions: 100", "  max_user_sessions: 100\n  many: infinity"))
        spool = os.path.join(self.directory, "spool")
        os.makedirs(spool, exist_ok=True)
        return (["erl", "-noinput", "+K", "true", "+P", "250000", "+Q", "65536", "+S", "1:1", "+SDcpu", "1:1", "+SDio", "1",
                 "+A", "1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
                 "-mnesia", "dir", f'"{spool}"', "-s", "ejabberd"],
                {"ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "EJABBERD_CONFIG_PATH": path, "HOME": self.directory,
                 "EJABBERD_LOG_PATH": os.path.join(self.directory, "ejabberd.log"),
                 "ERL_CRASH_DUMP": os.path.join(self.directory, "crash.dump")})


class Prosody(Server):
    name = "prosody"

    def command(self):
        key, chain, _ = self.certificate()
        data = os.path.join(self.directory, "data")
        os.makedirs(data, exist_ok=True)
        archive = '"mam";' if self.archives else ""
        path = self.write("prosody.cfg.lua", f"""
run_as_root = true
daemonize = false
pidfile = "{self.directory}/prosody.pid"
data_path = "{data}"
network_backend = "epoll"
gc = {{ mode = "generational" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}
c2s_direct_tls_ports = {{ }}
c2s_require_encryption = false
authentication = "internal_hashed"
default_iteration_count = {ITERATIONS}
allow_registration = true
storage = "internal"
default_archive_policy = true
archive_expires_after = "never"
modules_enabled = {{ "disco"; "ping"; "register_ibr"; "roster"; "saslauth"; "smacks"; "tls"; {archive} }}
modules_disabled = {{ "s2s"; "http"; "admin_shell" }}
log = {{ error = "{self.directory}/prosody.log" }}
ssl = {{ key = "{key}"; certificate = "{chain}" }}
VirtualHost "localhost"
Component "conference.localhost" "muc"
  max_history_messages = 0
""")
        return ["prosody", "--config", path, "-F"], {}


class Relay(Server):
    name = "relay"
    is_raw = True

    def __init__(self, directory, core, archives=False, generator=""):
        super().__init__(directory, core, archives)
        self.generator = os.path.abspath(generator)

    def command(self):
        return [self.generator, "relay", "--port", str(self.port)], {}
