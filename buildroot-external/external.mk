# What the appliance changes of Buildroot's packages, and one check. Read after all of Buildroot's own packages.

include $(sort $(wildcard $(BR2_EXTERNAL_STEELYARD_PATH)/package/*/*.mk))

# Buildroot builds HAProxy for an unknown system: without epoll, splice, namespaces, transparent proxying, and without
# the master that lbd drives. The last assignment on make's command line wins.
HAPROXY_MAKE_OPTS += TARGET=linux-glibc

# Does every symbol of the kernel's fragments take effect? Needs the kernel's source, not its build.
# xtask says the same against a folder of sources: cargo xtask buildroot-check.
.PHONY: steelyard-check-kernel
steelyard-check-kernel: linux-configure host-steelyard
	$(HOST_DIR)/bin/steelyard-xtask buildroot-check --kernel-config $(LINUX_DIR)/.config
