from dataclasses import FrozenInstanceError, replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from presence_server.config import Config, ConfigError, PostgresUrl
from presence_server.settings import SETTINGS, read_config


def test_defaults_are_those_of_the_contract() -> None:
    config = Config()
    assert (config.host, config.port, config.reuse_port) == ("127.0.0.1", 8000, False)
    assert config.database == Path("presence.sqlite3")
    assert config.secret_key_file == Path("presence.sqlite3.key")
    assert (config.redis_url, config.public_url, config.admin_port) == (None, None, None)
    assert (config.grace, config.lease, config.heartbeat) == (8, 10, 20)
    assert (config.bcrypt_cost, config.sign_up, config.log_format) == (12, "open", "text")
    assert (config.max_sockets_per_user, config.max_sockets_per_address) == (20, 200)
    assert config.trusted_proxies == ()
    assert config.admin_host == "127.0.0.1"
    assert read_config({}, {}) == config
    assert not config.risks()


def test_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().port = 1  # type: ignore[misc]  # it is frozen


def test_every_field_but_the_cookie_name_is_a_setting() -> None:
    assert {s.field for s in SETTINGS} | {"cookie_name"} == set(Config.__dataclass_fields__)


def test_a_flag_wins_over_the_environment() -> None:
    environment = {"PRESENCE_PORT": "1", "PRESENCE_GRACE": "0.25"}
    config = read_config({"port": "2"}, environment)
    assert (config.port, config.grace) == (2, 0.25)


def test_an_empty_variable_counts_as_unset() -> None:
    assert read_config({}, {"PRESENCE_REDIS_URL": "", "PRESENCE_GRACE": ""}) == Config()


def test_a_postgresql_database_keeps_its_password_to_itself() -> None:
    url = "postgresql://me:s3cret/@[::1]:5432/people?sslmode=require&password=s3cret"
    config = read_config({"database": url}, {})
    assert isinstance(config.database, PostgresUrl) and config.database.url == url
    assert str(config.database) == "postgresql://me@[::1]:5432/people"
    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigError) as error:
        read_config({"database": "postgres//me:s3cret@host/people://"}, {})
    assert "s3cret" not in str(error.value)


def test_with_postgresql_the_key_file_is_to_be_named() -> None:
    config = Config(database=PostgresUrl("postgresql://db/people"))
    with pytest.raises(ConfigError, match="--secret-key-file .* is needed"):
        config.key_file
    assert any("--redis-url" in risk for risk in config.risks())
    named = replace(config, secret_key_file=Path("k"), redis_url="redis://x")
    assert named.key_file == Path("k")
    assert named.risks() == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("unix:/run/p.sock,::1", "http://[::1]:8000"),
        ("0.0.0.0", "http://localhost:8000"),
        ("::,0.0.0.0", "http://localhost:8000"),
        ("presence.example", "http://presence.example:8000"),
    ],
)
def test_links_lead_where_somebody_listens(host: str, url: str) -> None:
    assert Config(host=host).site_url == url


def test_key_file_lies_beside_the_database() -> None:
    config = read_config({"database": "/var/lib/presence/people.db"}, {})
    assert config.secret_key_file == Path("/var/lib/presence/people.db.key")
    assert Config(secret_key_file=Path("k")).secret_key_file == Path("k")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("host", "::1", "::1"),
        ("host", "[::1]", "::1"),
        ("host", "127.0.0.1, [::1],unix:/run/p.sock", "127.0.0.1,::1,unix:/run/p.sock"),
        ("port", "0", 0),
        ("port", "65535", 65535),
        ("grace", "0", 0.0),
        ("grace", "1.5", 1.5),
        ("lease", "1", 1.0),
        ("heartbeat", "2.5", 2.5),
        ("bcrypt_cost", "4", 4),
        ("bcrypt_cost", "16", 16),
        ("sign_up", "closed", "closed"),
        ("log_format", "json", "json"),
        ("max_sockets_per_user", "0", 0),
        ("admin_port", "0", 0),
        ("redis_url", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis_url", "rediss://:secret@example.com/1", "rediss://:secret@example.com/1"),
        ("public_url", "https://example.com", "https://example.com"),
        ("public_url", "HTTPS://Example.com:443/", "https://example.com"),
        ("public_url", "http://[::1]:8000", "http://[::1]:8000"),
        ("public_url", "http://[::0001]:80", "http://[::1]"),
        ("public_url", "https://Bücher.example.", "https://xn--bcher-kva.example"),
        ("public_url", "https://XN--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("public_url", "https://example.com/chat/", "https://example.com/chat"),
        ("public_url", "https://example.com:8443/a/b.c", "https://example.com:8443/a/b.c"),
        ("trusted_proxies", "10.0.0.1, ::1", (ip_network("10.0.0.1"), ip_network("::1"))),
        ("trusted_proxies", "10.0.0.0/8", (ip_network("10.0.0.0/8"),)),
        ("trusted_proxies", "::ffff:10.0.0.0/104", (ip_network("10.0.0.0/8"),)),
        ("trusted_proxies", "", ()),
    ],
)
def test_good_value(field: str, text: str, value: object) -> None:
    assert getattr(read_config({field: text}, {}), field) == value


@pytest.mark.parametrize("word", ["on", "1", "true", "YES"])
def test_switch_on(word: str) -> None:
    assert read_config({"redis_url": "redis://x"}, {"PRESENCE_REUSE_PORT": word}).reuse_port


@pytest.mark.parametrize("word", ["off", "0", "False", "no"])
def test_switch_off(word: str) -> None:
    assert not read_config({}, {"PRESENCE_REUSE_PORT": word}).reuse_port


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("host", ""),
        ("host", "http://x"),
        ("host", "a b"),
        ("host", "127.0.0.1,"),
        ("host", "unix:"),
        ("host", "unix:presence.sock"),
        ("admin_host", "127.0.0.1,::1"),
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("port", "1.5"),
        ("port", ""),
        ("reuse_port", "maybe"),
        ("database", ""),
        ("secret_key_file", ""),
        ("redis_url", "localhost:6379"),
        ("redis_url", "http://localhost"),
        ("sign_up", "Open"),
        ("grace", "-0.1"),
        ("grace", "nan"),
        ("grace", "inf"),
        ("grace", "soon"),
        ("grace", "86400.1"),
        ("lease", "0.9"),
        ("lease", "1e300"),
        ("heartbeat", "0"),
        ("heartbeat", "1e9"),
        ("away_after", "1441"),
        ("bcrypt_cost", "3"),
        ("bcrypt_cost", "17"),
        ("bcrypt_cost", "12.0"),
        ("public_url", "example.com"),
        ("public_url", "ftp://example.com"),
        ("public_url", "https://"),
        ("public_url", "https://example.com/a b"),
        ("public_url", "https://example.com/a//b"),
        ("public_url", "https://example.com/{x}"),
        ("public_url", "https://example.com/%2fx"),
        ("public_url", "https://a b.example"),
        ("public_url", "https://a..example"),
        ("public_url", "https://example.com?x=1"),
        ("public_url", "https://me:secret@example.com"),
        ("public_url", "https://example.com:port"),
        ("public_url", "https://[::1"),
        ("trusted_proxies", "localhost"),
        ("trusted_user_header", "Remote_User"),
        ("trusted_user_header", "Remote User"),
        ("log_out_url", "/oauth2/sign_out"),
        ("log_out_url", "javascript:alert(1)"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("max_sockets_per_user", "-1"),
        ("max_sockets_per_address", "many"),
        ("log_format", "xml"),
        ("admin_port", "70000"),
        ("admin_host", ""),
    ],
)
def test_bad_value_is_one_sentence_that_names_the_setting(field: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_config({field: text}, {})
    sentence = str(error.value)
    assert f"--{field.replace('_', '-')} (PRESENCE_{field.upper()}) must be " in sentence
    assert "\n" not in sentence and sentence.endswith(".")


def test_the_password_of_a_redis_url_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as error:
        read_config({"redis_url": "reddis://:secret@localhost"}, {})
    assert "secret" not in str(error.value)


def test_sharing_a_port_needs_redis() -> None:
    with pytest.raises(ConfigError, match="--reuse-port .* needs --redis-url"):
        read_config({"reuse_port": "on"}, {})


def test_a_socket_file_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match="--reuse-port .* socket file of its own"):
        read_config({"reuse_port": "on", "redis_url": "redis://x", "host": "unix:/x"}, {})


def test_a_public_url_trusts_the_proxy_on_this_machine() -> None:
    assert Config(public_url="https://example.com").trusted_proxies == (
        ip_network("127.0.0.1"),
        ip_network("::1"),
    )
    assert Config(public_url="https://example.com", trusted_proxies=()).trusted_proxies == ()


@pytest.mark.parametrize(
    ("public_url", "origin", "base_path"),
    [
        ("https://Example.com:443/", "https://example.com", ""),
        ("https://bücher.example/chat", "https://xn--bcher-kva.example", "/chat"),
    ],
)
def test_a_public_url_is_an_origin_and_a_path(
    public_url: str, origin: str, base_path: str
) -> None:
    config = Config(public_url=public_url)
    assert (str(config.public_origin), config.base_path) == (origin, base_path)
    assert (Config().public_origin, Config().base_path) == (None, "")


def test_only_a_public_url_with_https_is_https() -> None:
    assert Config(public_url="https://example.com").https
    assert not Config(public_url="http://example.com").https
    assert not Config().https


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"host": "0.0.0.0"}, "unencrypted to 0.0.0.0"),
        ({"host": "127.0.0.1,::"}, "unencrypted to ::"),
        ({"host": "unix:/run/presence.sock"}, "--public-url"),
        ({"public_url": "http://example.com"}, "unencrypted to example.com"),
        ({"trusted_proxies": "0.0.0.0/0"}, "--trusted-proxies trusts everybody"),
        ({"public_url": "https://example.com", "trusted_proxies": ","}, "--trusted-proxies is em"),
        ({"public_url": "https://example.com", "max_sockets_per_user": "0"}, "take all the sock"),
        ({"public_url": "https://example.com", "max_sockets_per_address": "0"}, "take all the s"),
        ({"bcrypt_cost": "4"}, "--bcrypt-cost 4"),
        ({"admin_port": "9000", "admin_host": "0.0.0.0"}, "admin port on 0.0.0.0"),
    ],
)
def test_a_risk_is_warned_about(flags: dict[str, str], words: str) -> None:
    (risk,) = read_config(flags, {}).risks()
    assert words in risk


@pytest.mark.parametrize(
    "flags",
    [
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "localhost,unix:/x", "public_url": "https://example.com"},
        {"host": "0.0.0.0", "public_url": "https://example.com"},
        {"public_url": "http://localhost:8000"},
        {"admin_port": "9000"},
        {"max_sockets_per_address": "0"},
    ],
)
def test_a_safe_combination_is_not_warned_about(flags: dict[str, str]) -> None:
    assert not read_config(flags, {}).risks()


def test_the_summary_holds_no_secret() -> None:
    summary = read_config({"redis_url": "rediss://me:sesame@redis.example?x=1"}, {}).summary()
    assert summary["relay"] == "rediss"
    assert "sesame" not in str(summary)
    assert Config().summary()["relay"] == "off"


@pytest.mark.parametrize("public_url", [None, "https://example.com"])
def test_only_proxies_that_are_named_are_believed_who_somebody_is(public_url: str | None) -> None:
    with pytest.raises(ConfigError, match="--trusted-user-header .* needs --trusted-proxies"):
        Config(trusted_user_header="Remote-User", public_url=public_url)
    with pytest.raises(ConfigError, match="needs --trusted-proxies"):
        Config(trusted_user_header="Remote-User", trusted_proxies=(), public_url=public_url)
