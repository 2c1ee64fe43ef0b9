# A multiboot 1 kernel that tells what its loader gave it, on COM1, and switches the machine off.
#
# A line for itself, and one for each module: the line that it was given, an equals sign, and the first word of the file.
# It is a plain image whose header says where it belongs (Multiboot Specification 0.6.96, section 3.1.3).

        .set    MAGIC, 0x1badb002
        .set    LOADER_MAGIC, 0x2badb002
        .set    FLAGS, 1 << 16                  # the header has addresses
        .set    COM1, 0x3f8
        .set    LINE_STATUS, COM1 + 5           # 16550 datasheet: bit 5 transmitter empty
        .set    PM1A_CONTROL, 0x604             # the address that our FADT announces
        .set    SLEEP_S5, (5 << 10) | (1 << 13) # SLP_TYP 5, SLP_EN (ACPI 6.5, section 4.8.3.2.1)
        .set    COMMAND_LINE, 16                # in the information structure (section 3.3)
        .set    MODULES_COUNT, 20
        .set    MODULES, 24
        .set    MODULE_START, 0                 # in a module's entry
        .set    MODULE_LINE, 8
        .set    MODULE_BYTES, 16

        .text
        .code32
header: .long   MAGIC, FLAGS, -(MAGIC + FLAGS)
        .long   header, header, 0, 0, start

start:  cmpl    $LOADER_MAGIC, %eax
        jne     off
        movl    COMMAND_LINE(%ebx), %esi
        call    print
        call    newline
        movl    MODULES_COUNT(%ebx), %ebp
        movl    MODULES(%ebx), %edi
1:      testl   %ebp, %ebp
        jz      off
        movl    MODULE_LINE(%edi), %esi
        call    print
        movb    $'=', %al
        call    put
        movl    MODULE_START(%edi), %esi
        movl    $4, %ecx
2:      lodsb
        call    put
        loop    2b
        call    newline
        addl    $MODULE_BYTES, %edi
        decl    %ebp
        jmp     1b

off:    movw    $PM1A_CONTROL, %dx
        movw    $SLEEP_S5, %ax
        outw    %ax, %dx
3:      hlt
        jmp     3b

print:  lodsb                                   # the text at ESI, up to its NUL
        testb   %al, %al
        jz      4f
        call    put
        jmp     print
4:      ret

newline:
        movb    $'\n', %al
put:    movb    %al, %ah                        # AL to COM1
        movw    $LINE_STATUS, %dx
5:      inb     %dx, %al
        testb   $0x20, %al
        jz      5b
        movw    $COM1, %dx
        movb    %ah, %al
        outb    %al, %dx
        ret
