"""`python -m ombdriver` is the command `ombdriver`."""

import sys

try:
    from ombdriver.cli import main
except KeyboardInterrupt:
    sys.exit("ombdriver: interrupted")

if __name__ == "__main__":  # a spawned worker imports this module too
    main()
