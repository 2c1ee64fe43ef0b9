# A multiboot 1 kernel that goes back to real mode and asks the BIOS, as kernels do for modes of the screen and for memory.
#
# After a direct boot a stand-in answers. Each check is a line on COM1 ("ok ..." or "BAD ..."); the debug exit gets the
# number of those that failed. In the end it starts the machine anew by INT 19h, and tells so when it is there again.
# It is a plain image whose header says where it belongs (Multiboot Specification 0.6.96, section 3.1.3).

        .set    MAGIC, 0x1badb002
        .set    FLAGS, 1 << 16                  # the header has addresses
        .set    COM1, 0x3f8
        .set    LINE_STATUS, COM1 + 5           # 16550 datasheet: bit 5 transmitter empty
        .set    DEBUG_EXIT, 0x501
        .set    CMOS_INDEX, 0x70
        .set    CMOS_BYTE, 0x50                 # a byte that neither clock nor firmware uses; a reset keeps it
        .set    AGAIN, 0xa5
        .set    LOW_CODE, 0x8000                # where the 16-bit code runs, DS = CS
        .set    EQUIPMENT, 0x222                # a serial port, 80 columns in colour, coprocessor
        .set    BASE_KIB, 639

        .text
        .code32
header: .long   MAGIC, FLAGS, -(MAGIC + FLAGS)
        .long   header, header, 0, 0, start

start:  cld
        lgdt    gdt_pointer
        movl    $low_start, %esi
        movl    $LOW_CODE, %edi
        movl    $low_end - low_start, %ecx
        rep movsb
        ljmp    $8, $LOW_CODE

        .balign 8
gdt:    .quad   0
        .quad   0x00009b000000ffff              # 16-bit code and data of 64 KiB
        .quad   0x000093000000ffff
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

        # Report the condition \cond of the flags as the check \text; keeps all registers.
        .macro  check cond:req, text:req
        set\cond passed - low_start
        call    report
        .asciz  "\text"
        .endm

        .code16
low_start:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $LOW_CODE >> 4, $real - low_start
real:   movw    %cs, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7ff0, %sp
        lidt    vectors - low_start

        movb    $CMOS_BYTE, %al
        outb    %al, $CMOS_INDEX
        inb     $CMOS_INDEX + 1, %al
        cmpb    $AGAIN, %al
        je      again

        movw    $0x1111, %ax
        int     $0x11
        cmpw    $EQUIPMENT, %ax
        check   e, "INT 11h tells the equipment"
        int     $0x12
        cmpw    $BASE_KIB, %ax
        check   e, "INT 12h tells base memory"
        movw    $0x4f00, %ax
        int     $0x10
        cmpw    $0x4f00, %ax
        check   e, "INT 10h knows no VESA modes"
        movw    $0x0201, %ax
        movw    $0x0080, %dx
        clc
        int     $0x13
        check   c, "INT 13h fails"
        cmpb    $1, %ah
        check   e, "INT 13h says that the function is invalid"
        movl    $0xe820, %eax
        xorl    %ebx, %ebx
        movl    $20, %ecx
        movl    $0x534d4150, %edx
        clc
        int     $0x15
        check   c, "INT 15h fails"
        cmpb    $0x86, %ah
        check   e, "INT 15h says that it does not know the function"
        movw    $0x0100, %ax
        orb     %al, %ah                        # clears the zero flag
        int     $0x16
        check   z, "INT 16h has no key"
        movw    $0xb101, %ax
        clc
        int     $0x1a
        check   c, "INT 1Ah knows no PCI"
        movw    $0x0200, %ax
        xorw    %dx, %dx
        int     $0x17
        cmpb    $0x80, %ah
        check   e, "INT 17h times out"
        int     $0x2f                           # hardware, and what programs ask of each other
        int     $0x08
        cmpw    $0x7ff0, %sp
        check   e, "every call has taken its stack away"
        movw    $0, %ax
        movw    %ax, %es
        cmpl    $0, %es:0x67 * 4
        check   e, "vectors of programs are empty"

        movb    $CMOS_BYTE, %al
        outb    %al, $CMOS_INDEX
        movb    $AGAIN, %al
        outb    %al, $CMOS_INDEX + 1
        cmpb    $0, failures - low_start
        jne     finish
        int     $0x19
again:  movb    $0, failures - low_start
        cmpw    %ax, %ax
        check   e, "INT 19h starts the machine anew"
finish: movw    $DEBUG_EXIT, %dx
        movb    failures - low_start, %al
        outb    %al, %dx
1:      hlt
        jmp     1b

report: popw    next - low_start
        pushaw
        movw    $word_bad - low_start, %si
        cmpb    $0, passed - low_start
        je      1f
        movw    $word_ok - low_start, %si
        decb    failures - low_start
1:      incb    failures - low_start
        call    print
        movw    next - low_start, %si
        call    print
        movw    %si, next - low_start
        movw    $line_end - low_start, %si
        call    print
        popaw
        jmp     *next - low_start

print:  lodsb                                   # the string at DS:SI, which SI is behind then
        testb   %al, %al
        jz      2f
        movb    %al, %ah
        movw    $LINE_STATUS, %dx
3:      inb     %dx, %al
        testb   $0x20, %al
        jz      3b
        movw    $COM1, %dx
        movb    %ah, %al
        outb    %al, %dx
        jmp     print
2:      ret

vectors:
        .word   0x3ff
        .long   0
next:   .word   0
passed: .byte   0
failures:
        .byte   0
word_ok:
        .asciz  "ok "
word_bad:
        .asciz  "BAD "
line_end:
        .asciz  "\n"
low_end:
