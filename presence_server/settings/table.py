"""Every setting: how it is called, read and explained."""

from presence_server.settings import values
from presence_server.settings.setting import Setting

_PORT = "a whole number from 0 to 65535"
_SECONDS = "a number of seconds"
# Longer times are too long for the kernel, for timers of browsers, or for a database.
_DAY = 24 * 60 * 60  # seconds
_REDIS_URLS = ", ".join(values.REDIS_SCHEMES[:-1])

SETTINGS = (
    Setting(
        "host",
        values.hosts,
        "addresses, host names, or unix:/path of a socket file, with commas between them",
        "where to listen: addresses with commas between them, :: for both families, unix:/path "
        "for a socket file",
        "LIST",
    ),
    Setting("port", values.whole(0, 65535), _PORT, "port to listen on; 0 picks a free one"),
    Setting(
        "reuse_port",
        values.switch,
        "on or off",
        "several processes share the port; needs --redis-url",
    ),
    Setting(
        "database",
        values.database,
        "the path of a file, or a URL that starts with postgresql://",
        "accounts and sessions: an SQLite file, created on first start, or a postgresql:// URL",
        "FILE|URL",
    ),
    Setting(
        "redis_url",
        values.redis_url,
        f"a URL that starts with {_REDIS_URLS} or {values.REDIS_SCHEMES[-1]}",
        "the Redis that relays between processes; with --processes one is started if none is named",
        "URL",
    ),
    Setting(
        "secret_key_file",
        values.path,
        "the path of a file",
        "keys for the cookies, one a line: the first encrypts, all decrypt; made on first start "
        "(default: the name of the SQLite file with .key added)",
        "FILE",
    ),
    Setting(
        "sign_up",
        values.one_of("open", "closed"),
        "open or closed",
        "open: anybody can sign up; closed: only who is invited or added with `user add`",
        "open|closed",
    ),
    Setting(
        "grace",
        values.number(0, _DAY),
        f"{_SECONDS}, 0 to {_DAY}",
        "how long people are still shown after their last page has closed",
        "SECONDS",
    ),
    Setting(
        "lease",
        values.number(1, _DAY),
        f"{_SECONDS}, 1 to {_DAY}",
        "how long other processes keep the people of one they no longer hear",
        "SECONDS",
    ),
    Setting(
        "heartbeat",
        values.number(1, _DAY),
        f"{_SECONDS}, 1 to {_DAY}",
        "time between two pings on a live socket",
        "SECONDS",
    ),
    Setting(
        "bcrypt_cost",
        values.whole(4, 16),
        "a whole number from 4 to 16",
        "how slow password hashes are: one more doubles the time",
        "N",
    ),
    Setting(
        "public_url",
        values.site_url,
        "a URL such as https://example.com or https://example.com/presence",
        "where people find the site when a proxy stands in front, below a path if there is one; "
        "https there makes cookies Secure",
        "URL",
    ),
    Setting(
        "trusted_proxies",
        values.networks,
        "addresses or networks such as 10.0.0.0/8, with commas between them",
        "proxies whose X-Forwarded-For is believed "
        "(default: none; with --public-url: 127.0.0.1,::1)",
        "LIST",
    ),
    Setting(
        "trusted_user_header",
        values.header,
        "the name of a header such as Remote-User, of letters, digits and dashes",
        "single sign-on: the header in which a proxy named in --trusted-proxies says who the user "
        "is; accounts are made at first sight, and log-in forms are off",
        "NAME",
    ),
    Setting(
        "log_out_url",
        values.web_address,
        "a URL such as https://example.com/oauth2/sign_out",
        "where logging out leads, with --trusted-user-header",
        "URL",
    ),
    Setting(
        "max_sockets_per_user",
        values.whole(0),
        "a whole number, 0 or more",
        "how many open pages a user may have; 0 = no limit",
        "N",
    ),
    Setting(
        "max_sockets_per_address",
        values.whole(0),
        "a whole number, 0 or more",
        "how many open pages an address may have; 0 = no limit",
        "N",
    ),
    Setting(
        "max_people_per_room",
        values.whole(1),
        "a whole number, 1 or more",
        "how many people may be in one room of an app",
        "N",
    ),
    Setting(
        "max_people_placed",
        values.whole(1),
        "a whole number, 1 or more",
        "how many people an app's backend may place in its rooms, at one process",
        "N",
    ),
    Setting(
        "processes",
        values.whole(1, 256),
        "a whole number from 1 to 256",
        "how many processes share the port; a parent restarts one that ends and replaces them one "
        "by one at SIGHUP; without --redis-url it starts a Redis for them",
        "N",
    ),
    Setting(
        "allow_private_webhooks",
        values.switch,
        "on or off",
        "webhooks of apps may be at private addresses, such as 127.0.0.1 or 10.0.0.1",
    ),
    Setting(
        "visits",
        values.whole(0, 3650),
        "a whole number of days, 0 to 3650",
        "days for which visits of this server's own accounts are kept; 0 = none are",
        "DAYS",
    ),
    Setting(
        "away_after",
        values.number(0, _DAY / 60),
        f"a number of minutes, 0 to {_DAY // 60}",
        "minutes without input after which a page says away; 0 = never",
        "MINUTES",
    ),
    Setting(
        "site_name",
        values.site_name,
        "a name of 1 to 64 characters",
        "what the site is called in titles and at the head of its pages",
        "NAME",
    ),
    Setting(
        "invisible",
        values.one_of("everybody", "nobody"),
        "everybody or nobody",
        "who may choose to be seen as offline",
        "everybody|nobody",
    ),
    Setting(
        "hide_last_seen",
        values.switch,
        "on or off",
        "nobody is told when anybody was last seen; without it people decide for themselves",
    ),
    Setting(
        "log_format",
        values.one_of("text", "json"),
        "text or json",
        "format of the log",
        "text|json",
    ),
    Setting(
        "admin_port",
        values.whole(0, 65535),
        _PORT,
        "a second listener, for operators: /metrics, /readyz with its reasons, /roster",
    ),
    Setting("admin_host", values.host, "an address or a host name", "address of the admin port"),
)
