import sys

from presence_server.cli import main

sys.exit(main())
