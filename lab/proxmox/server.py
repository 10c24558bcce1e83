"""The HTTPS side: TLS 1.3, authentication, parameters, faults, and Proxmox' envelope around answers."""

import json
import ssl
import sys
import time
import traceback
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from lab.proxmox import access, faults, login, multipart
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.routes import dispatch

BASE = "/api2/json"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pve-api-daemon/3.0", ""
    disable_nagle_algorithm = True

    def setup(self):
        self.request.settimeout(600)
        self.request.do_handshake()  # here, in the connection's own thread
        super().setup()

    def handle_any(self):
        url = urlsplit(self.path)
        path = url.path.removeprefix(BASE).rstrip("/") or "/"
        try:
            if not url.path.startswith(BASE):
                raise ApiError(f"No such file '{url.path}'", 404)
            params = dict(parse_qsl(url.query, keep_blank_values=True)) | self.body()
            fault = faults.take(f"{self.command} {path}") or {}
            time.sleep(fault.get("delay", 0))
            if "status" in fault:
                raise ApiError(fault.get("message", ""), fault["status"])
            caller = self.caller(path)
            data = fault["data"] if "data" in fault else dispatch(self.command, path, params, caller)
            self.answer(200, "OK", {"data": data})
        except ApiError as error:
            body = {"data": None, "message": error.message + "\n"}
            if error.errors:
                body["errors"] = error.errors
            self.answer(error.status, error.message, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:
            traceback.print_exc()
            self.answer(500, f"{type(error).__name__}: {error}", {"data": None})

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def date_time_string(self, timestamp=None):
        """The head `Date`, by the node's clock."""
        return super().date_time_string(timestamp or time.time() + faults.clock())

    def body(self) -> dict:
        if self.headers.get_content_type() == "multipart/form-data":
            return multipart.read(self.rfile, self.headers)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if not content:
            return {}
        if self.headers.get_content_type() == "application/json":
            try:
                data = json.loads(content)
            except ValueError:
                raise ApiError("malformed JSON string", 400) from None
            if not isinstance(data, dict):
                raise invalid(body="type check ('object') failed")
            return {k: int(v) if isinstance(v, bool) else v for k, v in data.items() if v is not None}
        return dict(parse_qsl(content, keep_blank_values=True))

    def caller(self, path: str) -> access.Caller | None:
        authorization = self.headers.get("Authorization", "")
        if path == "/access/ticket" and self.command == "POST":
            return None
        if authorization.startswith("PVEAPIToken="):
            return login.by_token(authorization.removeprefix("PVEAPIToken="))
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("PVEAuthCookie")
        if cookie is None:
            raise ApiError("No ticket", 401)
        csrf = None if self.command == "GET" else self.headers.get("CSRFPreventionToken", "")
        return login.by_ticket(unquote(cookie.value), csrf)

    def answer(self, status: int, reason: str, body: dict) -> None:
        content = json.dumps(body).encode()
        lines = reason.strip().splitlines() or [""]
        # The status line is Latin-1 and one line.
        self.send_response(status, lines[0].encode("latin-1", "replace").decode("latin-1"))
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Pragma", "no-cache")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, form, *values):
        # Paths, never bodies: those hold keys.
        print(
            f"{time.strftime('%H:%M:%S')} {self.client_address[0]} {form % values}",
            file=sys.stderr,
            flush=True,
        )


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], certificate: str, key: str):
        super().__init__(address, Handler)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self.tls.load_cert_chain(certificate, key)

    def get_request(self):
        connection, address = super().get_request()
        return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if isinstance(error, ssl.SSLEOFError | ConnectionResetError):  # someone only looked whether we listen
            return
        print(f"{client_address[0]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
