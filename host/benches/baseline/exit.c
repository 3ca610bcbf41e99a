/* The bare loop: nothing but KVM_RUN, for a guest that does nothing but write to a port. */

#include "vm.h"

#include <stdio.h>
#include <sys/ioctl.h>

#include "measure.h"

/* again: out %eax, $0xEB; jmp again. The same bytes in both modes. */
static const unsigned char LOOP[] = { 0xE7, 0xEB, 0xEB, 0xFC };

void measure_exits(enum mode mode, unsigned long exits) {
    int kvm = open_kvm();
    struct vm vm;
    create_vm(&vm, kvm);
    create_memory(&vm);
    create_vcpu(&vm, kvm, mode);
    load(&vm, LOOP, sizeof LOOP);
    run_to_port(&vm, 0xEB, KVM_EXIT_IO_OUT);
    double began = cpu_time();
    for (unsigned long i = 0; i < exits; i++)
        if (ioctl(vm.vcpu_fd, KVM_RUN, 0) < 0 || vm.run->exit_reason != KVM_EXIT_IO)
            die("the guest left with exit reason %u", vm.run->exit_reason);
    printf("{\"exit_us\": %.6f}\n", (cpu_time() - began) * 1e6 / exits);
    drop(&vm);
}
