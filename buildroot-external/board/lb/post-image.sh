#!/bin/sh
# Called by Buildroot with the folder of the images: makes slot and disk there, by the steps of the quick image.
set -eu
exec "$HOST_DIR/bin/steelyard-xtask" release-disk --grub "$(echo "$BUILD_DIR"/grub2-*)" "$1"
