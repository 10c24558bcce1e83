"""As a program, an HTTPS server that stands for a control plane's API: `python api_server.py PORT PEM`.

It answers 401 to everything, as K3s does to a request without credentials, but /watch: that is answered by a line every
tenth of a second until one side ends it.
"""

import asyncio
import contextlib
import ssl
import sys

REFUSAL = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"GET /watch "):
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"line\n")
                await writer.drain()
                await asyncio.sleep(0.1)
        writer.write(REFUSAL)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def main(port: str, pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(answer, "127.0.0.1", int(port), ssl=context, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
