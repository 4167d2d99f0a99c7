"""Service invocation as the sidecar of another application does it: a call to the internal port of ours.

A second sidecar would have to find ours first, for which it asks the whole network. What it sends then is written here
by hand: the SDK has no stubs for it.

Source: dapr/proto/internals/v1/service_invocation.proto, dapr/proto/common/v1/common.proto.
"""

from __future__ import annotations

import json
from typing import Any

import grpc

from tests.integration.sidecar import Sidecar


def invoke_as_other_sidecar(sidecar: Sidecar, method: str, content: object) -> int:
    """Call the application of a sidecar as the sidecar of another application would, and give the status."""
    message = request_message(method, json.dumps(content).encode())
    caller = field(1, b"dapr-caller-app-id") + field(2, field(1, b"other"))
    request = b"\x08\x01" + field(2, caller) + field(3, message)
    with grpc.insecure_channel(f"127.0.0.1:{sidecar.internal_port}") as channel:
        call: Any = channel.unary_unary("/dapr.proto.internals.v1.ServiceInvocation/CallLocal")
        answer = call(request, timeout=10)
    return status_in(answer)


def status_in(answer: bytes) -> int:
    """Read the code in the status of an InternalInvokeResponse: both are the first field, the code is a varint."""
    assert answer[:1] == b"\x0a"
    assert answer[2:3] == b"\x08"
    code, shift = 0, 0
    for byte in answer[3:]:
        code |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return code


def request_message(method: str, content: bytes) -> bytes:
    """An InvokeRequest: method, data, content type, and POST as the verb."""
    data = field(2, content)
    return field(1, method.encode()) + field(2, data) + field(3, b"application/json") + field(4, b"\x08\x03")


def field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message whose length is told."""
    length, size = len(content), b""
    while length >= 0x80:
        size += bytes([length & 0x7F | 0x80])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content
