# Names for the numbers of the boot. The values in braces are const
# operands. start.rs takes them from guest_abi and the x86_64 crate.

# Stack frames of assembly are described for debuggers only, like those of compiled code.
.cfi_sections .debug_frame

.set STACK_TOP, {stack_top}
.set CR0_PROTECTED_MODE, {protected_mode}
.set CR0_PAGING, {paging}
.set CR4_PAGE_SIZE_EXTENSION, {page_size_extension}
.set CR4_PHYSICAL_ADDRESS_EXTENSION, {physical_address_extension}
.set EFER, {efer_msr}
.set EFER_LONG_MODE_ENABLE, {long_mode_enable}
.set CODE32_SELECTOR, {code32_selector}
.set CODE64_SELECTOR, {code64_selector}
.set DATA_SELECTOR, {data_selector}
.set CODE32_DESCRIPTOR, {code32_descriptor}
.set CODE64_DESCRIPTOR, {code64_descriptor}
.set DATA_DESCRIPTOR, {data_descriptor}
.set LARGE_PAGE_ENTRY, {page_entry}
.set TABLE_ENTRY, {table_entry}
.set SIZE_4M, {page_size_4m}
.set SIZE_2M, {page_size_2m}
.set LONG_MODE, {long_mode}
.set TSS_SELECTOR, {tss_selector}
.set TSS_ATTRIBUTES, {tss_attributes}
.set TSS_SIZE, {tss_size}
.set TSS_STACK_1, {tss_stack_1}
.set TRAP_STACK_SIZE, {trap_stack_size}
.set VECTORS, {vectors}
.set EXCEPTIONS, {exceptions}
.set VECTORS_WITH_ERROR_CODE, {vectors_with_error_code}
.set INTERRUPT_GATE, {interrupt_gate}
