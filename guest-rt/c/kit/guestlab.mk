# Rules of GNU make for guests of Guestlab in C. A Makefile begins with these two lines:
#
#     KIT = path/of/this/folder
#     include $(KIT)/guestlab.mk
#
# `make hello.elf` then makes a guest of hello.c, for protected mode. `make hello.long.elf` makes one for long mode;
# `real` and `paged` are the other modes. A guest of several files: `hello.elf: ring.o`. CC, LD and CFLAGS are the user's.

# $(call guestlab_rules, suffix, mode, format of the linker)
define guestlab_rules
%$(1).o: %.c $$(wildcard $$(KIT)/include/*.h)
	$$(CC) @$$(KIT)/lib/$(2)/flags -O2 -isystem $$(KIT)/include $$(CFLAGS) -c -o $$@ $$<

%$(1).elf: %$(1).o $$(KIT)/lib/$(2)/libguestlab.a
	$$(LD) -m $(3) -nostdlib -static --gc-sections -z noexecstack -z max-page-size=4096 \
		-L $$(KIT)/link -T guest.ld -o $$@ $$(filter %.o,$$^) $$(KIT)/lib/$(2)/libguestlab.a

.PRECIOUS: %$(1).o
endef

$(eval $(call guestlab_rules,,protected,elf_i386))
$(eval $(call guestlab_rules,.real,real,elf_i386))
$(eval $(call guestlab_rules,.paged,paged,elf_i386))
$(eval $(call guestlab_rules,.long,long,elf_x86_64))
