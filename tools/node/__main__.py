"""Make this host a node of a GPU Lab house, and run it as one.

    gpulab-node join https://gpulab.example.edu TOKEN    exchange the token for what this node signs in with
    gpulab-node run                                      run the node's worker and relay, until ended

The token and the whole command come from the page Admin > Nodes. The key of this host's certificate is made here and never leaves it.
"""

import argparse
import sys
from pathlib import Path

from tools.node.join import JoinFault, join
from tools.node.place import PLACE
from tools.node.run import run


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked; the exit status."""
    wish = _parser().parse_args(arguments)
    try:
        if wish.verb == "run":
            return run(wish.place)
        node = join(house=wish.house, token=wish.token, place=wish.place, relay_address=wish.relay, authority=wish.ca)
    except JoinFault as fault:
        print(f"gpulab-node: {fault}", file=sys.stderr)
        return 1
    print(f"This host is node {node} now. What it signs in with is in {wish.place}, readable for you alone.")
    print("Start it: systemctl enable --now gpulab-node (deploy/systemd/gpulab-node.service), or here: gpulab-node run")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpulab-node", description="Make this host a node of a GPU Lab house, and run it as one.")
    parser.add_argument("--place", type=Path, default=PLACE, help=f"folder for settings and certificate; default {PLACE}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    joining = verbs.add_parser("join", help="exchange a token for what this node signs in with")
    joining.add_argument("house", help="the house's address, https://…")
    joining.add_argument("token", help="from the page Admin > Nodes; used once, within the hour")
    joining.add_argument("--relay", default="", metavar="HOST:PORT", help="where the house reaches this host's relay; default: this host's address, port 7443")
    joining.add_argument("--ca", type=Path, default=None, help="PEM of the authority of the house's https, if this host does not trust it already")
    verbs.add_parser("run", help="run the node's worker and relay")
    return parser


if __name__ == "__main__":
    sys.exit(main())
