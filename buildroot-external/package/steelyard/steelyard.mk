################################################################################
#
# steelyard
#
################################################################################

STEELYARD_VERSION = 0.1.0
STEELYARD_SITE = $(BR2_EXTERNAL_STEELYARD_PATH)/..
STEELYARD_SITE_METHOD = local
STEELYARD_LICENSE = MIT or Apache-2.0
STEELYARD_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
STEELYARD_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/target
HOST_STEELYARD_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/target

# Program and where it goes, as in the quick image (crates/testbed/src/image).
STEELYARD_PROGRAMS = \
	lbd:usr/sbin/lbd \
	lbctl:usr/bin/lbctl \
	lbwizard:usr/bin/lbwizard \
	lbadmin:usr/sbin/lbadmin \
	heartbeat:usr/sbin/heartbeat \
	ipvsadm:usr/sbin/ipvsadm \
	lbupdate:usr/sbin/lbupdate

STEELYARD_CARGO_BUILD_OPTS = \
	--config .vendor/config.toml \
	$(foreach p,$(STEELYARD_PROGRAMS),--bin $(firstword $(subst :, ,$(p))))

# Buildroot vendors the crates of packages that it downloads; a local one must do so itself. A source tree that brings
# VENDOR and .vendor/config.toml needs no network. Cargo.lock holds the checksum of every crate. The file lies in a
# folder of its own because cargo reads its paths from the folder above.
define STEELYARD_VENDOR
	cd $(@D) && \
	if [ ! -d VENDOR ] || [ Cargo.lock -nt .vendor/config.toml ]; then \
		mkdir -p .vendor && \
		PATH=$(BR_PATH) $(PKG_COMMON_CARGO_ENV) \
			cargo vendor --locked --versioned-dirs VENDOR >.vendor/new && \
		mv .vendor/new .vendor/config.toml; \
	fi
endef
STEELYARD_PRE_CONFIGURE_HOOKS += STEELYARD_VENDOR
HOST_STEELYARD_PRE_CONFIGURE_HOOKS += STEELYARD_VENDOR

define STEELYARD_INSTALL_TARGET_CMDS
	$(foreach p,$(STEELYARD_PROGRAMS), \
		$(INSTALL) -D -m 0755 \
			$(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)/$(firstword $(subst :, ,$(p))) \
			$(TARGET_DIR)/$(lastword $(subst :, ,$(p)))
	)
endef

# What post-build.sh and post-image.sh call, and what that calls in turn.
HOST_STEELYARD_DEPENDENCIES = \
	host-dosfstools \
	host-e2fsprogs \
	host-genimage \
	host-grub2 \
	host-kmod \
	host-lz4 \
	host-mtools \
	host-squashfs
STEELYARD_DEPENDENCIES = host-steelyard

HOST_STEELYARD_CARGO_BUILD_OPTS = \
	--config .vendor/config.toml \
	--package xtask

define HOST_STEELYARD_INSTALL_CMDS
	$(INSTALL) -D -m 0755 $(@D)/target/release/xtask \
		$(HOST_DIR)/bin/steelyard-xtask
endef

$(eval $(cargo-package))
$(eval $(host-cargo-package))
