# Step 4, long mode: 4-level paging with 2 MiB pages that map the first 4 GiB
# to themselves, and the switch to 64-bit mode (SDM 3A, 10.8.5 "Initializing
# IA-32e Mode"). It follows step 3, because the tables are in .bss.

.section .bss.page_tables, "aw", @nobits
.balign 4096
page_map_level_4:
    .skip   4096
page_directory_pointers:
    .skip   4096
page_directories:
    .skip   4 * 4096

.section .boot, "ax"
    # One entry of the top table, four of the next: 4 GiB.
    movl    $page_directory_pointers, page_map_level_4
    orl     $TABLE_ENTRY, page_map_level_4
    movl    $page_directories, %eax
    orl     $TABLE_ENTRY, %eax
    movl    $page_directory_pointers, %edi
    movl    $4, %ecx
map_next_table:
    movl    %eax, (%edi)
    addl    $4096, %eax
    addl    $8, %edi
    loop    map_next_table

    # All 2048 entries of the page directories: entry N maps 2 MiB from N times 2 MiB.
    movl    $page_directories, %edi
    movl    $LARGE_PAGE_ENTRY, %eax
map_next_page:
    movl    %eax, (%edi)
    addl    $8, %edi
    addl    $SIZE_2M, %eax       # wraps around to the flags after the last page
    cmpl    $LARGE_PAGE_ENTRY, %eax
    jne     map_next_page

    # Enable physical address extension, set the tables, enable long mode, then paging, which activates it.
    movl    %cr4, %eax
    orl     $CR4_PHYSICAL_ADDRESS_EXTENSION, %eax
    movl    %eax, %cr4
    movl    $page_map_level_4, %eax
    movl    %eax, %cr3
    movl    $EFER, %ecx
    rdmsr
    orl     $EFER_LONG_MODE_ENABLE, %eax
    wrmsr
    movl    %cr0, %eax
    orl     $CR0_PAGING, %eax
    movl    %eax, %cr0

    # The far jump loads CS with a 64-bit segment, which starts 64-bit decoding.
    # The data segments stay: 64-bit mode ignores their bases and limits.
    ljmpl   $CODE64_SELECTOR, $long
.code64
long:
    movl    %esp, %esp                  # the upper half of RSP was undefined until now

    # The stack of exceptions (trap64.s).
    movw    $TSS_SELECTOR, %ax
    ltr     %ax
