"""nginx with nchan: what a server written for nothing but fan-out costs."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.streams import payload
from tests.bench.streams.subjects import paced
from tests.stack.process import Process
from tests.stack.services import free_port
from tests.waiting import until

MODULES = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"), Path("/usr/share/nginx/modules"))
CONFIG = """
{user}
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile {connections};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 256m;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{
            nchan_publisher;
            nchan_channel_id bench;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 1m;
        }}
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message newest;
        }}
    }}
}}
"""


def module() -> Path | None:
    """The module of nchan, where nginx and nchan are installed."""
    found = [folder / "ngx_nchan_module.so" for folder in MODULES if (folder / "ngx_nchan_module.so").exists()]
    return found[0] if found and _nginx() else None


class Nchan(Process):
    """An nginx of our own, with one worker process."""

    header = ""

    def __init__(self, folder: Path, files: int) -> None:
        self.port = free_port()
        self._seq = 0
        here = folder / f"nginx-{self.port}"
        here.mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        config = here / "nginx.conf"
        # With a sixteenth of them left, nginx begins to close connections that have not sent their request yet.
        connections = files + files // 10
        config.write_text(
            CONFIG.format(user=user, module=module(), connections=connections, folder=here, port=self.port)
        )
        super().__init__("nginx", [], {})
        self._command = [str(_nginx()), "-p", str(here), "-c", str(config), "-e", "stderr"]

    def start(self) -> None:
        super().start()
        until(self._listens)

    def _listens(self) -> bool:
        self.assert_running()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0 and bool(self.children())

    @property
    def server(self) -> int:
        return self.children()[0]

    def paths(self, clients: int) -> Sequence[str]:
        return ["/events"]

    def receivers(self, clients: int) -> int:
        return clients

    def publish(self, moments: Sequence[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for _ in paced(moments):
            self._seq += 1
            connection.request("POST", "/publish", payload.event(self._seq, time.time()))
            answer = connection.getresponse()
            assert answer.status in (200, 201, 202), answer.status
            answer.read()
        connection.close()


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
