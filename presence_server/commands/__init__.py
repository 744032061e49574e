"""The subcommands, one module each.

A module has `add_parser(subparsers)`, which adds and returns its parser, and
`run(args, config)`, which does the work and returns the exit status. Errors in settings,
relay and database are raised: the command line turns them into a sentence and a status.
"""

from presence_server.commands import app, backup, copy, demo, serve, sessions, user, visits, who

COMMANDS = (serve, demo, user, sessions, app, visits, who, backup, copy)
