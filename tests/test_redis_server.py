import pytest
import redis

from testing.redis_server import RedisServer


def test_all_tests_share_a_server(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        assert client.publish("nobody", "listens") == 0


def test_a_killed_server_comes_back_at_the_same_place(own_redis: RedisServer) -> None:
    url = own_redis.url
    own_redis.kill()
    with own_redis.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()
    own_redis.start()
    assert own_redis.url == url
    with own_redis.client() as client:
        assert client.ping()


def test_a_paused_server_keeps_its_connections(tcp_redis: RedisServer) -> None:
    with redis.Redis.from_url(tcp_redis.url, socket_timeout=0.1) as client:
        assert client.ping()
        tcp_redis.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
    tcp_redis.resume()
    with tcp_redis.client() as client:
        assert client.ping()


def test_a_server_with_a_password() -> None:
    server = RedisServer(password="sesame")
    try:
        server.start()
        with server.client() as client:
            assert client.ping()
    finally:
        server.remove()
