# Step 4, paged mode: 32-bit paging with 4 MiB pages that map every address to itself
# (SDM 3A, 4.3 "32-Bit Paging"). It follows step 3, because the table is in .bss.

.section .bss.page_tables, "aw", @nobits
.balign 4096
page_directory:
    .skip   4096

.section .boot, "ax"
    # All 1024 entries: entry N maps 4 MiB from N times 4 MiB.
    movl    $page_directory, %edi
    movl    $LARGE_PAGE_ENTRY, %eax
map_next_page:
    movl    %eax, (%edi)
    addl    $4, %edi
    addl    $SIZE_4M, %eax       # wraps around to the flags after the last page
    cmpl    $LARGE_PAGE_ENTRY, %eax
    jne     map_next_page

    # Enable 4 MiB pages, set the directory, then enable paging (SDM 3A, 4.1.1 and 4.1.2).
    movl    %cr4, %eax
    orl     $CR4_PAGE_SIZE_EXTENSION, %eax
    movl    %eax, %cr4
    movl    $page_directory, %eax
    movl    %eax, %cr3
    movl    %cr0, %eax
    orl     $CR0_PAGING, %eax
    movl    %eax, %cr0
    jmp     paged                       # a jump after the switch (SDM 3A, 10.9.1)
paged:
