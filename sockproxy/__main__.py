"""What does `python -m sockproxy` do? See `cli`."""

import sys

from sockproxy.cli import main

sys.exit(main(sys.argv[1:]))
