# Step 3, all modes: clear .bss, one word at a time (the linker script aligns it). The same
# text is 16-bit code after step 1 and 32-bit code after step 2: addresses fit into both.

    movl    $__bss_start, %edi
    movl    $__bss_end, %ecx
    subl    %edi, %ecx
    shrl    $2, %ecx
    xorl    %eax, %eax
    rep stosl
