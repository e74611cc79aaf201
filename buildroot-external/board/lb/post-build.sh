#!/bin/sh
# Called by Buildroot with the tree of the root file system, before it is packed: what the quick image does to its own.
set -eu
exec "$HOST_DIR/bin/steelyard-xtask" release-root "$1"
