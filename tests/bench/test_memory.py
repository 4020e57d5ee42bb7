"""What an idle client's connection costs that speaks HTTP/2 over TLS: resident memory, once it rests.

OpenSSL keeps 13.6 KiB of it and nghttp2 5.7 on the heap; what nghttp2 takes in pages of its own (proxy/h2_memory.c) has gone back.
"""

from counted import Peer, at_most, backends, main
from idle import http2_bytes

CONNECTIONS = 2000


def test():
    with backends() as setting, Peer("shunt tls", setting) as peer:
        at_most("KiB per idle HTTP/2 connection with TLS", http2_bytes(peer, setting.folder, CONNECTIONS) / 1024, 22)


main(test)
