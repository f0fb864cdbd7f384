"""What a container's health check says."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from gateway import probe
from gateway.embedded.ports import free_port

pytestmark = pytest.mark.integration


@contextmanager
def answering(status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/readyz" else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield str(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_yes_is_a_200(monkeypatch, status, code):
    with answering(status) as port:
        monkeypatch.setenv("OPS_PORT", port)
        assert probe.main(["readyz"]) == code
        assert probe.main([]) == 0


def test_nobody_there_is_no(monkeypatch, capsys):
    monkeypatch.setenv("OPS_PORT", str(free_port()))
    assert probe.main([]) == 1
    assert capsys.readouterr().out == "livez: ConnectionRefusedError\n"
